"""The page that a snapshot gives."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.exporter_snapshot import GOLDEN, page, snapshot

from labq.clock import now
from labq_exporter import families
from labq_exporter import page as page_module
from labq_exporter.page import own_page, render
from labq_exporter.snapshot import ContainerUse, Snapshot
from labq_exporter.table import BY_NAME, TABLE

#: Not of a snapshot but of the moment in which the page is asked for.
CLOCK = "labq_exporter_clock_timestamp_seconds"
#: Labels that Prometheus or its users give a meaning of their own, or that would never end.
FORBIDDEN = {"job", "instance", "pid", "le", "quantile", "command", "cmdline"}


def series(text: str) -> list[tuple[str, dict[str, str], float]]:
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def values(shown: Snapshot, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(labels[each] for each in BY_NAME[name].labels): value
        for found, labels, value in series(render(shown).decode())
        if found == name
    }


def test_the_page_is_the_golden_one_to_the_byte() -> None:
    assert page() == GOLDEN.read_text(), "if that is meant: python tests/support/exporter_snapshot.py"


def test_every_family_of_the_table_is_in_the_golden_page() -> None:
    assert {name for name, _, _ in series(GOLDEN.read_text())} == set(BY_NAME) - {CLOCK}


def test_every_series_has_the_labels_of_the_table_and_a_number() -> None:
    for name, labels, value in series(page()):
        assert set(labels) == set(BY_NAME[name].labels), name
        assert math.isfinite(value), name


def test_no_label_has_a_name_that_is_taken_or_has_no_end() -> None:
    assert not FORBIDDEN & {label for row in TABLE for label in row.labels}


def test_help_and_type_of_each_family_are_those_of_the_table() -> None:
    text = page() + own_page().decode()
    for row in TABLE:
        kind = "counter" if row.kind == "counter" else "gauge"
        assert f"# HELP {row.name} {row.help}\n# TYPE {row.name} {kind}\n" in text


def test_names_end_as_prometheus_wants_them() -> None:
    for row in TABLE:
        assert (row.kind == "counter") == row.name.endswith("_total")
        assert (row.kind == "info") == row.name.endswith("_info")
        assert re.fullmatch(r"labq_[a-z_]+", row.name)


@pytest.mark.parametrize("uuid", ["GPU-4", "GPU-5"])
def test_nothing_that_was_measured_is_shown_of_a_gpu_that_does_not_answer(uuid: str) -> None:
    shown = {name for name, labels, _ in series(page()) if labels.get("uuid") == uuid}
    assert shown == {"labq_gpu_info", "labq_gpu_up", "labq_gpu_memory_total_bytes"}


def test_what_the_driver_cannot_say_has_no_series() -> None:
    shown = {name for name, labels, _ in series(page()) if labels.get("uuid") == "MIG-2-1"}
    assert not shown & {"labq_gpu_utilization_ratio", "labq_gpu_power_watts", "labq_gpu_energy_joules_total"}


def test_memory_of_a_person_is_not_shown_when_only_a_part_of_it_is_known() -> None:
    shown = values(snapshot(), "labq_gpu_user_memory_used_bytes")
    assert ("0", "GPU-0", "bob") in shown
    assert ("0", "GPU-0", "alice") not in shown


def test_a_container_that_no_engine_knows_is_shown_by_its_id() -> None:
    shown = values(snapshot(), "labq_gpu_holder_info")
    assert ("0", "GPU-0", "unknown", "none", "d" * 12, "", "", "false") in shown


def test_what_was_counted_on_a_gpu_that_has_gone_keeps_its_labels() -> None:
    everything = snapshot()
    alone = replace(everything, gpus=())
    for name in (
        "labq_gpu_user_held_seconds_total",
        "labq_gpu_state_seconds_total",
        "labq_gpu_busy_seconds_total",
    ):
        assert values(alone, name) == values(everything, name)


def test_of_two_containers_with_one_name_the_second_is_left_out_and_counted() -> None:
    one = ContainerUse("web", "a" * 64, "x", "alice", "mount", "", 1.0, 10)
    shown = replace(snapshot(), containers=(one, replace(one, id="b" * 64, cpu=2.0)))
    assert values(shown, "labq_container_cpu_seconds_total") == {("web", "alice"): 1.0}
    assert len(values(shown, "labq_container_info")) == 2
    assert values(shown, "labq_exporter_series_dropped") == {(): 2.0}


def test_of_two_holders_with_the_same_labels_the_second_is_left_out_and_counted() -> None:
    everything = snapshot()
    first = everything.gpus[0]
    twin = replace(first.holders[0], container_id="e" * 64)
    shown = replace(everything, gpus=(replace(first, holders=(*first.holders, twin)),))
    assert values(shown, "labq_exporter_series_dropped") == {(): 3.0}
    assert len(values(shown, "labq_gpu_holder_info")) == 4


def test_more_containers_and_holders_than_the_page_takes_are_counted() -> None:
    everything = snapshot()
    first, one = everything.gpus[0], everything.containers[0]
    holders = tuple(
        replace(first.holders[0], container=f"c{number}") for number in range(families.MAX_HOLDERS + 4)
    )
    containers = [replace(one, name=f"c{number}") for number in range(families.MAX_CONTAINERS + 3)]
    shown = replace(everything, containers=containers, gpus=[replace(first, holders=holders)])
    assert len(values(shown, "labq_container_info")) == families.MAX_CONTAINERS
    assert len(values(shown, "labq_gpu_holder_info")) == families.MAX_HOLDERS
    assert values(shown, "labq_exporter_series_dropped") == {(): 7.0}


def test_a_group_that_fails_empties_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_: Snapshot) -> Iterator[families.Row]:
        yield "labq_node_gpus_expected", (), 6
        raise RuntimeError("no more")

    groups: tuple[Callable[[Snapshot], Iterator[families.Row]], ...] = (breaks, *families.GROUPS[1:])
    monkeypatch.setattr(page_module, "GROUPS", groups)
    shown = {name for name, _, _ in series(page())}
    assert {"labq_node_gpus_expected", "labq_gpu_holder_info", "labq_exporter_build_info"} <= shown
    assert "labq_gpu_info" not in shown


def test_the_page_says_what_time_it_is_when_it_is_asked_for() -> None:
    first, second = (
        next(value for name, _, value in series(own_page().decode()) if name == CLOCK) for _ in range(2)
    )
    assert abs(first - now()) < 5
    assert second > first


def test_text_of_people_cannot_break_the_page() -> None:
    one = ContainerUse('a"b\n# HELP', "a" * 64, "x\\y", "alice", "label", "", 1.0, 1)
    assert values(Snapshot(containers=(one,)), "labq_container_cpu_seconds_total") == {
        ('a"b\n# HELP', "alice"): 1.0
    }


def test_a_letter_that_cannot_be_written_takes_nothing_away_but_itself() -> None:
    whole, odd = (
        series(page()),
        ContainerUse("web\ud800", "b" * 64, "i\udcff", "ann\ud800", "label", "", 1.0, 2),
    )
    shown = replace(snapshot(), containers=(odd,), people={"ann\ud800": (1.0, 2)})
    text = render(shown).decode()
    assert 'container="web\ufffd"' in text
    assert 'labq_user_memory_bytes{user="ann\ufffd"} 2.0' in text
    assert {name for name, _, _ in series(text)} == {name for name, _, _ in whole}
