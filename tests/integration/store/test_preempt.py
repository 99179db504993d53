"""A decision to stop a job for another, carried out in a real Redis: told to the node, or nothing when it is stale."""

from __future__ import annotations

from builders import make_job, make_node

from labq import moves
from labq.ending import EndFacts, EndReason, judge
from labq.job import Job
from labq.moves import Claim
from labq.states import JobState
from labq.store import LeaderLease, Store
from labq_scheduler.apply import apply
from labq_scheduler.decisions import Decisions, Preempt

NODE = make_node("n1", cpus=100)


class Told:
    """Keeps what nodes are told to stop."""

    def __init__(self) -> None:
        self.stopped: list[tuple[str, str, int, str]] = []

    def start(self, node: str, job_id: str, attempt: int, lease: str) -> None:
        """Do nothing."""

    def stop(self, node: str, job_id: str, attempt: int, lease: str) -> None:
        """Keep it."""
        self.stopped.append((node, job_id, attempt, lease))

    def prepare(self, node: str, image_key: str, job_id: str) -> None:
        """Do nothing."""


def _running(store: Store, fence: int) -> Job:
    made = store.jobs.submit(make_job(preemptible=True), indices=None, now=1.0)
    store.nodes.register(NODE, now=1.0)
    job = store.jobs.get(made.id)
    claim = Claim("lease", NODE, (), 0.1, 10)
    starting = moves.starting(job, claim)
    store.jobs.move(job, starting, now=2.0, by="test", claim=claim, fence=fence)
    running = moves.running(starting, 3.0, "sha256:1")
    store.jobs.move(starting, running, now=3.0, by="test")
    return store.jobs.get(job.id)


def _fence(store: Store) -> int:
    fence = LeaderLease(store.connection).acquire()
    assert fence is not None
    return fence


def test_a_preempted_job_is_told_to_stop_and_its_record_says_for_whom(store: Store) -> None:
    fence, told = _fence(store), Told()
    job = _running(store, fence)
    decisions = Decisions(preempts=(Preempt(job, make_job("7"), "x"),))
    assert apply(decisions, store, told, {"n1": NODE}, now=9.0, fence=fence).preempted == 1
    stopping = store.jobs.get(job.id)
    assert stopping.stop is not None
    assert (stopping.state, stopping.stop.reason, stopping.stop.for_job, stopping.stop.at) == (
        JobState.STOPPING, EndReason.PREEMPTED, "7", 9.0,
    )  # fmt: skip
    assert told.stopped == [("n1", job.id, 1, "lease")]
    said = judge(EndFacts(143, duration=5, sent_sigterm=True), stopping.stop)
    store.jobs.move(stopping, moves.ended(stopping, said, 143, 10.0), now=10.0, by="test")
    again = store.jobs.get(job.id)
    assert (again.state, again.seq, again.attempts[-1].yielded_to) == (JobState.QUEUED, job.seq, "7")


def test_a_stale_preemption_changes_nothing(store: Store) -> None:
    fence, told = _fence(store), Told()
    job = _running(store, fence)
    said = judge(EndFacts(0, duration=5), None)
    store.jobs.move(job, moves.ended(job, said, 0, 8.0), now=8.0, by="test")
    decisions = Decisions(preempts=(Preempt(job, make_job("7"), "x"),))
    done = apply(decisions, store, told, {"n1": NODE}, now=9.0, fence=fence)
    assert (done.preempted, done.stale, told.stopped) == (0, 1, [])
    assert store.jobs.get(job.id).state is JobState.SUCCEEDED
