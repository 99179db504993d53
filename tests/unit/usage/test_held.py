"""How many GPUs a lease counts as."""

from __future__ import annotations

from builders import GB, make_job, make_node

from labq.ending import EndReason
from labq.job import Attempt, GpuHold
from labq_scheduler.usage.held import cards_of, gpus_held, holds_of, model_of

CARDS = cards_of([make_node("n1", gpus=2, gpu_memory=24 * GB), make_node("n2", gpus=1, model="NVIDIA A100")])


def test_whole_gpus_count_one_each() -> None:
    assert gpus_held([GpuHold("n1-0"), GpuHold("n1-1")], CARDS) == 2.0


def test_a_share_counts_as_its_part_of_the_card() -> None:
    assert gpus_held([GpuHold("n1-0", 6 * GB)], CARDS) == 0.25


def test_a_share_of_an_unknown_card_counts_one() -> None:
    assert gpus_held([GpuHold("gone", 6 * GB)], CARDS) == 1.0


def test_a_share_never_counts_more_than_the_card() -> None:
    assert gpus_held([GpuHold("n1-0", 48 * GB)], CARDS) == 1.0


def test_no_gpu_counts_nothing_and_has_no_model() -> None:
    assert (gpus_held([], CARDS), model_of([], CARDS)) == (0, "")


def test_the_model_is_the_first_cards() -> None:
    assert model_of([GpuHold("n2-0"), GpuHold("n1-0")], CARDS) == "NVIDIA A100"
    assert model_of([GpuHold("gone")], CARDS) == ""


def test_a_run_that_is_over_held_what_its_job_asks_for() -> None:
    attempt = Attempt(1, "n1", ("n1-0",), "l", 1.0, 2.0, 0, EndReason.COMPLETED, "Over.")
    assert holds_of(make_job(gpus="share:8GB"), attempt) == (GpuHold("n1-0", 8 * GB),)
    assert holds_of(make_job(gpus="1"), attempt) == (GpuHold("n1-0"),)
