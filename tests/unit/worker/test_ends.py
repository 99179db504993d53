"""What was seen of an end -> reason and sentence; the stop plan; build output; simulated GPUs; messages."""

import json
import pickle
import zlib

import pytest
from unit.worker.jobs import job

from labq.ending import EndReason, StopRequest, judge
from labq.errors import BadInputError
from labq.store.messages import RefusedError, read_message
from labq_worker import end_facts
from labq_worker.build_output import BuildOutput, why_pull_failed
from labq_worker.config import parse_allowed, parse_labels
from labq_worker.end_facts import SeenEnd, Signals
from labq_worker.sim_gpus import simulated_gpus, simulated_neighbours
from labq_worker.stop_plan import stop_plan

STOP = StopRequest(EndReason.CANCELLED_BY_USER, "alice", 100.0)


def test_a_command_that_the_image_lacks_is_told_from_one_that_returns_127() -> None:
    tail = ["[FATAL tini (7)] exec nothing failed: No such file or directory"]
    facts = end_facts.ended(job(), SeenEnd(127, started_at=1.0, finished_at=1.1), Signals(), tail, 0)
    said = judge(facts, None)
    assert said.reason is EndReason.COMMAND_NOT_FOUND
    assert "exec nothing failed" in said.verdict
    facts = end_facts.ended(job(), SeenEnd(127, started_at=1.0, finished_at=1.1), Signals(), ["sh: x"], 0)
    assert judge(facts, None).reason is EndReason.EXIT_CODE


@pytest.mark.parametrize(
    ("signals", "finished", "code", "reason"),
    [
        (Signals(), 150.0, 0, EndReason.COMPLETED),  # it ended before we sent anything
        (Signals(sigterm=True), 101.0, 0, EndReason.CANCELLED_BY_USER),
        (Signals(unknown=True), 101.0, 0, EndReason.CANCELLED_BY_USER),  # the agent before us had sent it
        (Signals(unknown=True), 99.0, 0, EndReason.COMPLETED),  # it ended before it was cancelled
    ],
)
def test_who_ended_it(signals: Signals, finished: float, code: int, reason: EndReason) -> None:
    seen = SeenEnd(code, started_at=50.0, finished_at=finished)
    stopped = job(stop=STOP)
    assert judge(end_facts.ended(stopped, seen, signals, (), 0), STOP).reason is reason


def test_a_kill_after_the_grace_is_inferred_after_a_restart() -> None:
    stopped = job(stop=STOP, grace="30s")
    late = SeenEnd(137, started_at=50.0, finished_at=130.5)
    assert end_facts.ended(stopped, late, Signals(unknown=True), (), 0).killed_after_grace
    early = SeenEnd(137, started_at=50.0, finished_at=110.0)
    assert not end_facts.ended(stopped, early, Signals(unknown=True), (), 0).killed_after_grace


def test_the_stop_plan_gives_the_grace_once() -> None:
    assert [(s.after, s.signal) for s in stop_plan(30, 100, 100)] == [(0, "SIGTERM"), (30, "SIGKILL")]
    assert stop_plan(30, 100, 110)[1].after == 20
    assert stop_plan(30, 100, 1000)[1].after == 3  # late, but never without any grace
    assert stop_plan(0.5, 100, 99)[1].after == 0.5  # a clock that is behind gives no more


def test_the_failing_step_of_a_build() -> None:
    said = BuildOutput()
    for text in (
        "Step 1/2 : FROM base\n",
        " ---> 123\n",
        "Step 2/2 : RUN pip install x\n",
        "ERROR: \x1b[91mno x\x1b[0m\n",
    ):
        assert said.text({"stream": text}) == text
    said.text({"error": "The command '/bin/sh -c pip install x' returned a non-zero code: 1"})
    assert (
        said.why_build_failed()
        == "step 2/2 (RUN pip install x) failed with exit code 1, last line: ERROR: no x"
    )


def test_why_an_image_cannot_be_had() -> None:
    silent = "Get https://registry-1.docker.io/v2/: dial tcp: lookup registry-1.docker.io: no such host"
    assert "its registry does not answer" in why_pull_failed("python:3.11", silent)
    absent = "pull access denied for nothing, repository does not exist or may require 'docker login'"
    assert "its registry does not have it" in why_pull_failed("nothing", absent)
    said = BuildOutput()
    said.text({"stream": "Step 1/2 : FROM nothing:1\n"})
    said.text({"error": absent})
    assert said.why_build_failed().startswith(
        "base image nothing:1 is not on this node and its registry does not"
    )


def test_pull_progress_is_not_logged() -> None:
    said = BuildOutput()
    assert said.text({"id": "a1", "status": "Downloading", "progress": "[=>  ]"}) == ""
    assert said.text({"id": "a1", "status": "Pull complete"}) == "a1: Pull complete\n"


def test_simulated_gpus() -> None:
    gpus = simulated_gpus("sim:2xRTX-4090-24GB,A100-SXM4-80GB", "n1")
    assert [(g.uuid, g.index, g.model, g.memory) for g in gpus] == [
        ("SIM-n1-0", 0, "RTX 4090", 24 * 2**30),
        ("SIM-n1-1", 1, "RTX 4090", 24 * 2**30),
        ("SIM-n1-2", 2, "A100 SXM4", 80 * 2**30),
    ]
    assert all(gpu.simulated for gpu in gpus)


def test_simulated_gpus_of_one_part_may_be_near_each_other() -> None:
    text = "sim:2xA100-80GB+nvlink, 2xA100-80GB+nvlink,2xL4-24GB+numa,2xT4-16GB"
    assert [gpu.model for gpu in simulated_gpus(text, "n1")] == ["A100"] * 4 + ["L4"] * 2 + ["T4"] * 2
    assert simulated_neighbours(text, "n1").to_wire() == {
        "nvlink": [["SIM-n1-0", "SIM-n1-1"], ["SIM-n1-2", "SIM-n1-3"]],
        "numa": [["SIM-n1-4", "SIM-n1-5"]],
    }


@pytest.mark.parametrize(
    "text",
    [
        "sim:",
        "sim:2xRTX",
        "sim:0xA100-80GB",
        "sim:99xA100-80GB",
        "sim:-80GB",
        "sim:2x-4GB",
        "sim:2xA100-80GB+wifi",
    ],
)
def test_simulated_gpus_that_are_refused(text: str) -> None:
    with pytest.raises(BadInputError) as refused:
        simulated_gpus(text, "n1")
    assert text in refused.value.what
    assert "sim:2xRTX-4090-24GB" in refused.value.next


OBEYED = {"f": (str, int)}


def test_messages() -> None:
    data = json.dumps(["f", None, ["a", 1], {}]).encode()
    assert read_message(data, OBEYED) == ("f", ["a", 1])
    assert read_message(zlib.compress(data), OBEYED) == ("f", ["a", 1])


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(("f", None, ("a", 1), {})),
        zlib.compress(pickle.dumps(("f", None, ("a", 1), {}))),
        b"", b"\x78\x9c", b"{}", b"[1]", b'["os.system", null, ["x", 1], {}]', b'["f", null, ["a"], {}]',
        b'["f", null, ["a", "1"], {}]', b'["f", null, ["a", true], {}]', b'["f", null, ["a", 1], {"x": 1}]',
        b'["f", "x", ["a", 1], {}]', b"[" * 100_000,
    ],
)  # fmt: skip
def test_messages_that_are_refused(data: bytes) -> None:
    with pytest.raises(RefusedError):
        read_message(data, OBEYED)


def test_settings_texts() -> None:
    assert parse_labels(["rack=a", "group=vision"]) == {"rack": "a", "group": "vision"}
    assert [(row.path, row.writable) for row in parse_allowed(["/data:ro", "/scratch/:rw", "/x"])] == [
        ("/data", False), ("/scratch", True), ("/x", False)
    ]  # fmt: skip
    for bad in (["data:ro"], ["/data:rx"], ["/a/../b"]):
        with pytest.raises(BadInputError):
            parse_allowed(bad)
    with pytest.raises(BadInputError):
        parse_labels(["rack"])
