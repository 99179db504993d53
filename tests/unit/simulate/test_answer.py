"""From a question to table, JSON, CSV and picture."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unit.simulate.workload import workload

from labq.errors import BadInputError
from labq_scheduler.policy.rules import Rules, Weights
from labq_scheduler.simulate.picture import picture
from labq_scheduler.simulate.question import question_of
from labq_scheduler.simulate.runs import GRID, replay_all
from labq_scheduler.simulate.table import Row, rows_of, sentence, table_csv, table_json, table_text
from labq_scheduler.simulate.traces import TraceJob

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return write(tmp_path, workload(3, 120))


def write(folder: Path, jobs: list[TraceJob]) -> Path:
    path = folder / "jobs.csv"
    lines = [
        f"{job.id},{job.user},{job.submitted},{job.duration},{job.gpus},{'|'.join(job.models)}"
        for job in jobs
    ]
    path.write_text("\n".join(["job_id,user,submit_s,duration_s,gpus,gpu_model", *lines]) + "\n")
    return path


def asked(trace: Path, given: Rules | None = None, **more: Any) -> Any:
    return question_of({"trace": str(trace), "machines": "1x4,1x8", **more}, given, None)


def answered(trace: Path, workers: int = 1, **more: Any) -> list[Row]:
    work = asked(trace, **more).work
    return rows_of(work.variants, replay_all(work, lambda jobs, over: None, workers))


def past(number: str, gpus: str, **more: Any) -> dict[str, Any]:
    return {
        "id": number, "user": "ann", "name": "x", "submitted_at": f"2026-11-01T00:00:0{number}.000Z", "seconds": 60.0,
        "gpus": gpus, "cpus": None, "memory": None, "time": 3600.0, "priority": "normal", "nodes": [], **more,
    }  # fmt: skip


def node(name: str, state: str, cards: int) -> dict[str, Any]:
    gpus = [
        {"uuid": f"{name}-{i}", "index": i, "model": "NVIDIA A100", "memory": 80 * 2**30, "fault": ""}
        for i in range(cards)
    ]
    return {
        "name": name,
        "state": state,
        "cpus": 16.0,
        "memory": 2**36,
        "labels": {"rack": "a"},
        "gpus": gpus,
    }


def test_the_same_seed_gives_the_same_table_by_one_process_or_by_several(trace: Path) -> None:
    flags = {"compare": "fifo,own", "shake": 2, "seed": 5}
    one, several = answered(trace, 1, **flags), answered(trace, 3, **flags)
    assert one == several
    assert table_text(one) == table_text(answered(trace, 1, **flags))
    assert one != answered(trace, 1, **{**flags, "seed": 6})


def test_progress_ends_with_all_jobs_of_all_replays(trace: Path) -> None:
    work = asked(trace, compare="fifo,own", shake=2).work
    for workers in (1, 2):
        said: list[tuple[int, int]] = []
        replay_all(work, lambda jobs, over: said.append((jobs, over)), workers)  # noqa: B023
        assert said[-1] == (4 * 120, 4)
        assert said == sorted(said)


def test_without_a_word_the_scores_are_those_of_the_public_traces_and_rules_are_compared_with_the_defaults(
    trace: Path,
) -> None:
    def labels(**more: Any) -> list[str]:
        return [variant.label for variant in asked(trace, **more).work.variants]

    assert labels() == ["mf-easy-pred", "easy-pred", "fifo", "own"]
    assert labels(rules="r.toml") == ["default", "own"]
    assert labels(add="2x1:4090") == ["own", "own +2x1:4090"]
    assert labels(remove="1x4", add="1x1", compare="fifo,own") == [
        "fifo", "fifo +1x1 −1x4", "own", "own +1x1 −1x4",
    ]  # fmt: skip


def test_given_rules_are_those_of_own_and_never_those_of_the_others(trace: Path) -> None:
    rules = Rules(weights=Weights(share=9.0))
    by_name = {
        v.policy: v.made().rules for v in asked(trace, rules, compare="default,own,fifo").work.variants
    }
    assert by_name["own"].weights.share == 9.0
    assert by_name["default"].weights == Weights()
    assert by_name["fifo"].weights.share == 0.0
    assert all(rules.gangs for rules in by_name.values())


def test_present_rules_are_those_of_the_lab_and_own_follows_them_until_others_are_given() -> None:
    def shares(given: Rules | None, **more: Any) -> dict[str, float]:
        asked = {"history": {"jobs": [past("1", "1")], "nodes": [node("n1", "up", 1)]}, **more}
        variants = question_of(asked, given, Rules(weights=Weights(share=7.0))).work.variants
        return {variant.policy: variant.made().rules.weights.share for variant in variants}

    assert shares(Rules(weights=Weights(share=9.0)), rules="r.toml") == {"present": 7.0, "own": 9.0}
    assert shares(None, compare="own,default") == {"own": 7.0, "default": Weights().share}


def test_present_rules_are_not_known_without_a_lab(trace: Path) -> None:
    with pytest.raises(BadInputError) as caught:
        asked(trace, compare="present")
    assert "goes with --history" in caught.value.next


def test_more_machines_shorten_waits_and_a_sentence_says_so(trace: Path) -> None:
    before, after = answered(trace, add="2x8")
    assert (before.gpus, after.gpus) == (12, 28)
    assert after.measures.wait_mean < before.measures.wait_mean
    assert after.score < 1.0
    assert "with 28 GPUs instead of 12: people wait " in sentence(before, after)


@pytest.mark.parametrize(
    ("flags", "what", "then"),
    [
        ({"compare": "fifo,easy-prd"}, "policy 'easy-prd' is not known", "did you mean easy-pred?"),
        ({"compare": "fifo,fifo"}, "names fifo twice", "once"),
        ({"machines": "1x0"}, "the machines have no GPU", "--machines"),
        ({"machines": "1x2"}, "asks for GPUs '4'", "larger --machines"),
        ({"remove": "1x8", "add": "7x1"}, "", ""),
        ({"shake": 1001}, "--shake 1001 is out of range", "0 to 1000"),
    ],
)
def test_bad_questions_are_refused_before_anything_is_replayed(
    trace: Path, flags: dict[str, Any], what: str, then: str
) -> None:
    if not what:
        asked(trace, **flags)
        return
    with pytest.raises(BadInputError) as caught:
        asked(trace, **flags)
    assert what in caught.value.what
    assert then in caught.value.next


def test_a_model_that_no_machine_has_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, [TraceJob("x", "a", 0.0, 1.0, 1, ("h100",)), TraceJob("y", "a", 0.0, 1.0, 40)])
    with pytest.raises(BadInputError) as caught:
        asked(path, machines="1x4:a100")
    assert caught.value.what.startswith(
        "job x asks for GPUs 'h100', and these machines could never run it, nor 1 "
    )


def test_a_site_maximum_is_everybodys_limit(trace: Path) -> None:
    assert max(job.duration for job in asked(trace, limit_runtime=3600.0).work.trace) == 3600.0


def test_the_lab_s_own_jobs_never_span_machines_and_those_that_fit_nowhere_are_left_out() -> None:
    jobs = [
        past("2", "a100:2"), past("1", "share:8GB"), past("3", "4"), past("4", "1", nodes=["rack=b"]),
        past("5", "1", nodes=["rack=a"], cpus=2.0, priority="high"),
    ]  # fmt: skip
    history = {"jobs": jobs, "nodes": [node("n1", "up", 2), node("n2", "up", 2), node("n3", "lost", 4)]}
    found = question_of({"history": history}, None, Rules())
    assert [(job.id, job.submitted) for job in found.work.trace] == [("1", 0.0), ("2", 1.0), ("5", 4.0)]
    assert found.work.variants[0].gpus == 4
    assert found.notes == [
        "machines that take no work now are left out: n3",
        "2 of 5 jobs are left out that not all of these machines could run, as job 3 (GPUs '4')",
        "3 jobs are few: differences may be chance",
    ]
    last = found.work.trace[-1]
    assert last.spec is not None
    assert (last.spec.cpus, last.spec.priority, last.spec.nodes, last.limit) == (
        2.0,
        "high",
        ("rack=a",),
        3600.0,
    )
    rows = rows_of(found.work.variants, replay_all(found.work, lambda jobs, over: None, 1))
    assert rows[-1].measures.wait_max == 0.0


def test_table_json_and_csv_say_the_same(trace: Path) -> None:
    question = asked(trace, compare="easy-pred,own")
    rows = rows_of(question.work.variants, replay_all(question.work, lambda jobs, over: None, 1))
    body = table_json(rows, question.about())
    (header, *lines) = csv.reader(io.StringIO(table_csv(rows)))
    assert (body["jobs"], body["against"], len(body["rows"])) == (120, "easy-pred", 2)
    for row, line, said in zip(rows, lines, body["rows"], strict=True):
        found = dict(zip(header, line, strict=True))
        assert found["policy"] == said["policy"] == row.label
        assert float(found["wait_mean"]) == pytest.approx(said["measures"]["wait_mean"], abs=1e-3)
    text = table_text(rows)
    assert f"{rows[1].measures.wait_mean:.2f}" in text
    assert len({len(line) for line in text.splitlines()[1:4]}) == 1  # columns stand below each other


def test_the_picture_is_xml_with_a_bar_for_each_figure_and_a_curve_for_each_row(trace: Path) -> None:
    rows = answered(trace, compare="easy-pred,fifo,own")
    root = ET.fromstring(picture(rows, "a < b & c"))  # noqa: S314 # it is ours
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title") == "a < b & c"
    curves = root.findall(f"{SVG}polyline")
    assert [curve.findtext(f"{SVG}title") for curve in curves] == ["easy-pred", "fifo", "own"]
    (points,) = {len(curve.attrib["points"].split()) for curve in curves}
    assert all(
        row.started[points - 1] == 1.0 for row in rows
    )  # it goes on until all have started, and no further
    assert points == len(GRID) or any(row.started[points - 2] < 1.0 for row in rows)
    bars = [bar for bar in root.findall(f"{SVG}rect") if bar.find(f"{SVG}title") is not None]
    assert len(bars) == 2 * (len(rows[1].ratios) + 1)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for box in root.findall(f"{SVG}rect"):
        assert 0 <= float(box.get("x", 0)) <= float(box.get("x", 0)) + float(box.attrib["width"]) <= width
        assert 0 <= float(box.get("y", 0)) <= float(box.get("y", 0)) + float(box.attrib["height"]) <= height


def test_a_table_is_in_the_unit_in_which_people_waited(trace: Path) -> None:
    (row,) = answered(trace, compare="own")

    def waited(hours: float) -> Row:
        return replace(row, measures=replace(row.measures, wait_mean=hours / 4, wait_max=hours))

    assert " hours waited " in table_text([waited(2.0)])
    assert " 0.50 " in table_text([waited(2.0)])
    assert " minutes waited " in table_text([waited(1.9), waited(0.1)])
    assert " 28.50 " in table_text([waited(1.9), waited(0.1)])
    assert " seconds waited " in table_text([waited(0.01)])
    assert " 9.00 " in table_text([waited(0.01)])
    assert "people wait 9.00 s instead of 18.0 s (-50%) on average" in sentence(waited(0.02), waited(0.01))


@pytest.mark.parametrize(("score", "ticks"), [(0.6, 3), (0.3, 5), (0.01, 7), (3.9, 5), (50.0, 7)])
def test_the_scale_of_the_picture_is_as_large_as_its_bars_need(trace: Path, score: float, ticks: int) -> None:
    (row,) = answered(trace, compare="own")
    other = replace(row, label="other", score=score)
    root = ET.fromstring(picture([row, other], "x"))  # noqa: S314 # it is ours
    said = {text.text for text in root.findall(f"{SVG}text")}
    assert len(said & {"1/8", "1/4", "1/2", "1×", "2×", "4×", "8×"}) == ticks


def test_few_jobs_and_jobs_that_came_close_together_are_doubted(trace: Path, tmp_path: Path) -> None:
    assert asked(trace).notes == ["120 jobs are few: differences may be chance"]
    near = write(tmp_path, [TraceJob(str(n), "a", n * 10.0, 5.0, 1) for n in range(200)])
    assert asked(near, shake=0).notes == []
    (note,) = asked(near, shake=1).notes
    assert note.startswith("all jobs came within 33m10s, and submissions are moved by up to 30 min")


def test_curves_rise_from_who_never_waited_to_everybody(trace: Path) -> None:
    for row in answered(trace, compare="easy-pred,own"):
        assert list(row.started) == sorted(row.started)
        assert row.started[0] > 0.0
        assert row.started[-1] == 1.0
