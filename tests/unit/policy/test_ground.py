"""What is remembered between two decisions makes them faster and changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import GB, holding_job, make_job, make_node
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from unit.policy.test_properties import assert_caps, said, whys

from labq.ending import EndReason, StopRequest
from labq.image import Image, ImageOnNode
from labq.job import Job
from labq.node import Node
from labq.states import JobState
from labq_scheduler.decide import decide
from labq_scheduler.pending import Pending
from labq_scheduler.policy.ends import Ends
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.outside import Outside
from labq_scheduler.policy.rules import Caps, Rules
from labq_scheduler.policy.runtimes import Runtimes
from labq_scheduler.snapshot import Snapshot, kind_of

RULES = Rules(
    bound=40_000.0,
    caps={"ann": Caps(gpus=3.5)},
    cap=Caps(jobs=6),
    groups={"bob": "vision", "eve": "vision"},
    group_caps={"vision": Caps(gpus=5.0)},
)
WIRES = st.fixed_dictionaries(
    {"gpus": st.sampled_from(["0", "1", "2", "4", "a100:1", "share:8GB", "share:20GB"])},
    optional={
        "cpus": st.sampled_from([1, 6]),
        "time": st.sampled_from(["10m", "2h", "3d"]),
        "priority": st.sampled_from(["urgent", "low"]),
        "name": st.sampled_from(["train", "eval"]),
        "image": st.sampled_from(["busybox:latest", "other:1"]),
        "preemptible": st.just(True),
        "nodes": st.sampled_from([["rack=b"], ["rack!=b"]]),
    },
)
NODES = ("n0", "n1", "n2")


class Lab(RuleBasedStateMachine):
    """Jobs come and end, machines go and come back; each time one decision is made twice."""

    running = Bundle("running")

    @initialize()
    def begin(self) -> None:
        self.now, self.seq = 10_000.0, 0
        self.nodes: dict[str, Node] = {
            "n0": make_node("n0", gpus=4),
            "n1": make_node("n1", gpus=2, model="NVIDIA A100", gpu_memory=80 * GB),
            "n2": make_node("n2", gpus=1, cpus=4),
        }
        self.gone: set[str] = set()
        self.holding: dict[str, dict[str, Job]] = {name: {} for name in NODES}
        self.outside: dict[str, dict[str, tuple[Outside, ...]]] = {}
        self.images = {
            f"ref:{name}": Image(f"ref:{name}", dict.fromkeys(NODES[:2], ImageOnNode("ready", 0.0, "x")))
            for name in ("busybox:latest", "other:1")
        }
        self.runtimes = Runtimes()
        self.pending = Pending(self.runtimes)
        self.ground = Ground()

    @rule(owner=st.sampled_from(["ann", "bob", "eve", "new"]), wire=WIRES, count=st.integers(1, 3))
    def submit(self, owner: str, wire: dict[str, Any], count: int) -> None:
        for _ in range(count):
            self.seq += 1
            self.pending.add(replace(make_job(str(self.seq), **wire), owner=owner, submitted_at=self.now))

    @rule(target=running, pick=st.integers(0, 50))
    def begin_to_run(self, pick: int) -> str:
        """Let one that starts run; return its id."""
        starting = [job for job in self._holders() if job.state is JobState.STARTING]
        if not starting:
            return ""
        job = starting[pick % len(starting)]
        self._put(replace(job, state=JobState.RUNNING, started_at=self.now))
        return job.id

    @rule(job_id=consumes(running), learnt=st.booleans())
    def end(self, job_id: str, learnt: bool) -> None:
        for job in [job for job in self._holders() if job.id == job_id]:
            del self.holding[job.node or ""][job.id]
            if learnt and job.started_at is not None:
                self.runtimes.add(kind_of(job), self.now - job.started_at)

    @rule(job_id=consumes(running))
    def requeue(self, job_id: str) -> None:
        for job in [job for job in self._holders() if job.id == job_id]:
            del self.holding[job.node or ""][job.id]
            fresh = replace(job, state=JobState.QUEUED, lease=None, node=None, gpus=(), cpus=0.0, memory=0, started_at=None, stop=None)  # fmt: skip
            self.pending.add(fresh)

    @rule(seconds=st.sampled_from([0.5, 30.0, 3600.0, 86_400.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=st.sampled_from(NODES), change=st.sampled_from(["drain", "remove", "fault", "label", "back"]))
    def change_machine(self, name: str, change: str) -> None:
        node = self.nodes[name]
        match change:
            case "drain":
                node = replace(node, drained="for a fan")
            case "remove":
                self.gone.add(name)
            case "fault":
                node = replace(node, gpus=(replace(node.gpus[0], fault="Xid 79"), *node.gpus[1:]))
            case "label":
                node = replace(node, labels={"rack": "b"})
            case "back":
                self.gone.discard(name)
                node = replace(node, drained="", gpus=tuple(replace(gpu, fault="") for gpu in node.gpus))
        self.nodes[name] = node

    @rule(name=st.sampled_from(NODES), used=st.booleans())
    def use_outside(self, name: str, used: bool) -> None:
        self.outside[name] = {f"{name}-0": (Outside("zoe", "web", 1.0),)} if used else {}

    @rule(key=st.sampled_from(["ref:busybox:latest", "ref:other:1"]), name=st.sampled_from(NODES))
    def forget_image(self, key: str, name: str) -> None:
        nodes = dict(self.images[key].nodes)
        nodes.pop(name, None)
        self.images[key] = Image(key, nodes)

    @invariant()
    def the_decision_is_the_same_and_keeps_the_rules(self) -> None:
        if not hasattr(self, "ground"):
            return
        seen = self._snapshot()
        remembered, fresh = decide(seen, RULES, self.ground), decide(seen, RULES)
        assert said(remembered) == said(fresh)
        found = whys(seen, remembered)
        assert found == whys(seen, fresh)
        assert all(found.values())
        for refusal in remembered.refusals:
            self.pending.remove(refusal.job)
        for start in remembered.starts:
            self.pending.remove(start.job)
            self._put(
                replace(
                    start.job, state=JobState.STARTING, node=start.node, gpus=start.fit.gpus, cpus=start.fit.cpus,
                    memory=start.fit.memory, lease=f"l{start.job.id}",
                )
            )  # fmt: skip
        for preempt in remembered.preempts:
            stop = StopRequest(EndReason.PREEMPTED, "labq", self.now, for_job=preempt.for_job.id)
            self._put(replace(preempt.job, state=JobState.STOPPING, stop=stop))
        for prepare in remembered.prepares:
            nodes = dict(self.images[prepare.key].nodes) | {prepare.node: ImageOnNode("ready", 0.0, "x")}
            self.images[prepare.key] = Image(prepare.key, nodes)
        assert_caps(RULES, list(self.nodes.values()), self._holders())

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            self.now,
            [node for name, node in self.nodes.items() if name not in self.gone],
            {name: list(jobs.values()) for name, jobs in self.holding.items() if jobs},
            self.pending.frozen(), [], {}, dict(self.images), self.outside, {"ann": 1e6, "eve": 3e5},
            self.runtimes.frozen(),
        )  # fmt: skip

    def _holders(self) -> list[Job]:
        return [job for jobs in self.holding.values() for job in jobs.values()]

    def _put(self, job: Job) -> None:
        self.holding[job.node or ""][job.id] = job


Lab.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestDecisionsWithAndWithoutAMemory = Lab.TestCase


@pytest.mark.parametrize(
    ("first", "then"), [(90_000.0, 500.0), (600.5, 500.0), (599.5, 599.9), (10.0, 599.0)]
)
def test_an_end_that_was_expected_by_a_clock_that_was_ahead_is_forgotten(first: float, then: float) -> None:
    job, runtimes = holding_job("1", "n0", "n0-0", started_at=0.0, time=600.0), Runtimes()
    remembered = Ends()
    remembered.expected(job, runtimes, first)
    assert remembered.expected(job, runtimes, then) == Ends().expected(job, runtimes, then)
