"""Tables and blocks: they fit the terminal, count wide characters twice, and let nothing steer the terminal."""

from typing import Any

import pytest

from labq.cli.progress import bar
from labq.cli.render import job, jobs, moments, nodes, text, top
from labq.units import about_duration

NOW = 1_800_000_000.0


def a_job(**changes: Any) -> dict[str, Any]:
    """A short view as the API gives it."""
    return {
        "id": "12", "name": "digits", "owner": "hiro", "state": "running", "end_reason": None, "verdict": None,
        "exit_code": None, "node": "n1", "gpus": ["GPU-1"], "simulated": False,
        "submitted_at": "2027-01-15T07:00:00.000Z", "started_at": "2027-01-15T07:10:00.000Z", "ended_at": None,
        "gpu_request": "a100:2", "priority": "normal", "tags": [], "note": "", "array": None, "index": None,
        "attempt": 1, "why": None, **changes,
    }  # fmt: skip


def a_gpu(**changes: Any) -> dict[str, Any]:
    return {
        "node": "n1", "index": 0, "uuid": "GPU-1", "model": "NVIDIA A100", "memory": 80 * 2**30, "simulated": False,
        "fault": "", "memory_used": None, "utilization": None, "temperature": None, "power": None, "holders": [], **changes,
    }  # fmt: skip


@pytest.mark.parametrize(("said", "width"), [("abc", 3), ("実験", 4), ("ｱ", 1), ("é", 1), ("👍", 2), ("", 0)])
def test_display_width(said: str, width: int) -> None:
    assert text.display_width(said) == width
    assert text.display_width(text.pad(said, 10)) == 10


@pytest.mark.parametrize("width", range(1, 12))
def test_clipped_text_never_exceeds_its_width(width: int) -> None:
    for said in ("abcdefghijkl", "実験実験実験", "a実b験c", "x"):
        assert text.display_width(text.clip(said, width)) <= width


def test_control_characters_cannot_steer_the_terminal() -> None:
    assert text.clean("a\x1b[31mb\r\nc") == "a�[31mb  c"
    shown = jobs.jobs_table([a_job(name="evil\x1b]0;x\x07", why="\x1b[2J", state="queued")], NOW, 200)
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\x1b" not in job.job_block(a_job(verdict="\x1b[2J", note="\x1b", spec={}, attempts=[]), NOW)


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_table_of_jobs_fits_the_terminal(width: int) -> None:
    rows = [
        a_job(name="日本語の実験の名前" * 3, owner="yuki"),
        a_job(id="123456.1000", state="queued", why="it waits for a long list of things " * 9, started_at=None, node=None),
        a_job(state="failed", end_reason="gpu_out_of_memory", verdict="Failed: " + "x" * 300, simulated=True),
    ]  # fmt: skip
    for line in jobs.jobs_table(rows, NOW, width, owners=True).splitlines():
        assert text.display_width(line) <= width, line


def test_columns_stand_under_each_other_with_wide_names() -> None:
    lines = jobs.jobs_table([a_job(name="実験"), a_job(name="ab", id="3")], NOW, 120).splitlines()
    places = {text.display_width(line[: line.index("running")]) for line in lines[1:]}
    assert len(places) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ["running", "a100:2", "10m00s", "50m00s"]),
        ({"simulated": True}, ["a100:2 (sim)"]),
        ({"gpu_request": "0"}, [" -  "]),
        ({"state": "failed", "end_reason": "exit_code", "exit_code": 3}, ["failed (exit 3)"]),
        ({"state": "failed", "end_reason": "out_of_memory", "verdict": "Failed: so."}, ["failed (out of memory)", "so."]),
        ({"state": "succeeded", "end_reason": "completed"}, ["succeeded "]),
        ({"state": "queued", "started_at": None, "why": "because"}, ["because", "1h00m"]),
        ({"note": "my note"}, ["my note"]),
    ],
)  # fmt: skip
def test_what_a_row_says(changes: dict[str, Any], said: list[str]) -> None:
    shown = jobs.jobs_table([a_job(**changes)], NOW, 160)
    for part in said:
        assert part in shown


def test_a_narrow_terminal_gives_its_room_to_the_reason() -> None:
    rows = [
        a_job(state="failed", end_reason="exit_code", exit_code=1, verdict="Failed: exit code 1 after 5s.", name="n" * 40),
        a_job(id="7", simulated=True),
    ]  # fmt: skip
    shown = jobs.jobs_table(rows, NOW, 80)
    assert "exit code 1 after 5s." in shown
    assert "failed  " in shown
    assert "(sim)" in shown


def test_a_job_that_never_ran_is_not_offered_to_be_fetched() -> None:
    view = a_job(state="failed", started_at=None, attempt=0, spec={}, attempts=[], cpus=1.0)
    assert "labq fetch" not in job.job_block(view, NOW)
    assert "1 core\n" in job.job_block(view, NOW)
    assert "labq fetch 12" in job.job_block(view | {"attempt": 1}, NOW)


def test_colours_only_when_asked_and_more_is_told() -> None:
    assert "\x1b" not in jobs.jobs_table([a_job()], NOW, 100)
    assert "\x1b[32m" in jobs.jobs_table([a_job()], NOW, 100, colours=True)
    assert jobs.more_line(200, 9800) == "9600 more: the same with --limit 0\n"
    assert jobs.more_line(3, 3) == ""


def test_the_block_of_a_job_says_the_verdict_first_and_hides_values_of_variables() -> None:
    view = a_job(
        state="failed", verdict="Failed: exit code 3 after 5s.", end_reason="exit_code", exit_code=3, simulated=True,
        ended_at="2027-01-15T07:20:00.000Z", attempts=[], image={"key": "ref:x", "ref": "x", "id": None}, cpus=2.0,
        memory=2**30, not_before=None, stop=None,
        spec={"image": "x:1", "command": ["sh", "-c", "a b"], "env": {"KEY": "private"}, "time": "4h"},
    )  # fmt: skip
    shown = job.job_block(view, NOW)
    assert shown.splitlines()[:2] == ["job 12 (digits): failed (exit 3)", "  Failed: exit code 3 after 5s."]
    for part in ("sh -c 'a b'", "KEY", "4h", "simulated", "2 cores, 1GB", "labq rerun 12"):
        assert part in shown
    assert "private" not in shown


def test_the_block_of_an_array_counts() -> None:
    array = {
        "id": "7",
        "array": True,
        "counts": {"running": 1, "queued": 1},
        "jobs": [a_job(id="7.0"), a_job(id="7.1")],
    }
    assert job.array_block(array, NOW, 100).startswith("array 7: 2 tasks: 1 running, 1 queued\n")


def test_nodes_say_what_is_free_and_what_is_simulated() -> None:
    node = {
        "name": "n1", "state": "drained", "reason": "new fan", "heartbeat": "2027-01-15T07:59:00.000Z", "cpus": 8.0,
        "cpus_held": 2.5, "memory": 2**36, "memory_held": 2**35, "labels": {"rack": "a"},
        "gpus": [a_gpu(simulated=True), a_gpu(index=1, simulated=True, holders=[{"job": "5", "owner": "yuki", "share": 2**33}])],
    }  # fmt: skip
    assert "joined" not in nodes.nodes_text([node], NOW, 100)  # a server that is older says nothing of it
    node["near"] = {"nvlink": [["0", "1", "2"], ["3", "5"]], "numa": [["1.2", "1.3"]]}
    shown = nodes.nodes_text([node, {**node, "gpus": []}], NOW, 100)
    for part in ("joined by NVLink: 0-2, 3+5\n", "on one NUMA node: 1.2+1.3\n", "drained (new fan)", "1m00s ago", "5.5 free of 8", "32GB free of 64GB", "rack=a", "(simulated): 1 free of 2",
                 "A100 (sim)", "5 yuki (8GB)", "no GPUs"):  # fmt: skip
        assert part in shown


def test_top_has_a_line_for_each_holder_and_marks_faults() -> None:
    holder = {
        "job": "5",
        "name": "実験",
        "owner": "yuki",
        "state": "running",
        "since": "2027-01-15T07:00:00.000Z",
        "share": None,
    }
    shown = top.top_text(
        [a_gpu(memory_used=2**34, utilization=97, temperature=61, holders=[holder, {**holder, "job": "6"}]),
         a_gpu(index=1), a_gpu(index=2, fault="Xid 79")], NOW, 140,
    )  # fmt: skip
    for part in (
        "3 GPUs: 1 held, 1 free, 1 lost",
        "16GB / 80GB",
        "97%",
        "61°C",
        "yuki",
        "実験",
        "1h00m",
        "free",
        "Xid 79",
    ):
        assert part in shown
    assert len(shown.splitlines()) == 1 + 1 + 4
    assert "no GPUs" in top.top_text([], NOW, 80)


def test_top_names_who_uses_a_gpu_outside_the_queue_and_how_that_is_known() -> None:
    since = "2027-01-15T07:00:00.000Z"
    outside = [
        {"user": "bob", "source": "mount", "container": "vigorous_bose", "since": since, "memory": 2**33, "busy": True},
        {"user": "carol", "source": "loginuid", "container": None, "since": None, "memory": None, "busy": False},
        {"user": "unknown", "source": "gone", "container": None, "since": None, "memory": 2**30, "busy": False,
         "disputed": "its label says eve"},
    ]  # fmt: skip
    shown = top.top_text([a_gpu(state="busy", outside=outside)], NOW, 200)
    assert shown.startswith("1 GPU: 1 busy, 1 used outside the queue\n")
    lines = [" ".join(line.split()) for line in shown.splitlines()[2:]]
    assert lines[0].endswith("busy bob - vigorous_bose, 8GB 1h00m")
    assert lines[1:] == ["carol - login", "unknown - dead process, 1GB; its label says eve"]


@pytest.mark.parametrize("seconds", [0, 41, 59.6, 60, 125, 3599, 3600, 7500, 86400, 273600])
def test_durations_read_as_in_labq_units(seconds: float) -> None:
    assert moments.about(seconds) == about_duration(seconds)


@pytest.mark.parametrize("at", [0.0, 951782400.5, 951868800.0, 1_800_000_000.125, 4_102_444_799.999])
def test_times_of_the_api_are_read_back(at: float) -> None:
    from labq.clock import rfc3339

    assert moments.epoch(rfc3339(at)) == pytest.approx(at, abs=0.0006)


def test_a_bar_is_full_at_the_end() -> None:
    assert "100%" in bar("uploading", 10, 10, 1.0)
    assert bar("packing", 0, 0, 0.0).count("#") == 24
