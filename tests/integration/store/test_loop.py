"""The loop's steps against a real Redis: one bad job or a crash in the middle stops nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from builders import make_job, make_node
from support.waiting import wait_for

from labq import moves
from labq.clock import now
from labq.ending import EndReason
from labq.image import ImageOnNode
from labq.moves import Claim
from labq.states import JobState
from labq.store import LeaderLease, Store
from labq_scheduler.apply import apply
from labq_scheduler.board import Board
from labq_scheduler.decisions import Decisions, Refuse, Start
from labq_scheduler.loop import Loop
from labq_scheduler.policy.room import Fit
from labq_scheduler.policy.rules import Rules
from labq_scheduler.rules_file import RulesFile

NODE = make_node("n1", cpus=100)


class Silent:
    """Messages that nobody reads."""

    def start(self, node: str, job_id: str, attempt: int, lease: str) -> None:
        """Do nothing."""

    def stop(self, node: str, job_id: str, attempt: int, lease: str) -> None:
        """Do nothing."""

    def prepare(self, node: str, image_key: str, job_id: str) -> None:
        """Do nothing."""


def leader(store: Store) -> int:
    fence = LeaderLease(store.connection).acquire()
    assert fence is not None
    return fence


def test_a_job_that_is_gone_does_not_stop_the_others(store: Store) -> None:
    gone, good = (store.jobs.submit(make_job(), indices=None, now=1.0).id for _ in range(2))
    jobs = store.jobs.get_many([gone, good])
    store.connection.client.delete(f"labq:job:{gone}")
    refusals = (Refuse(jobs[0], EndReason.DEPENDENCY_FAILED, "x"),)
    starts = tuple(Start(job, "n1", Fit((), 0.1, 10), "x") for job in jobs)
    done = apply(Decisions(starts, (), refusals), store, Silent(), {"n1": NODE}, now=2.0, fence=leader(store))
    assert (done.started, done.failed) == (1, 2)
    assert store.jobs.get(good).state is JobState.STARTING


def test_jobs_of_a_node_that_was_declared_lost_before_a_crash_end_too(store: Store, board: Board) -> None:
    store.nodes.register(NODE, now=now())
    made = store.jobs.submit(make_job(), indices=[0, 1], now=1.0)
    for job in store.jobs.get_many(made.jobs):
        claim = Claim(f"l{job.id}", NODE, (), 0.1, 10)
        store.jobs.move(job, moves.starting(job, claim), now=2.0, by="t", claim=claim)
    store.nodes.set_lost("n1", now=now())  # and here the leader died
    store.connection.client.hset("labq:node:n1", "heartbeat", 1.0)
    assert board.wait_caught_up()
    loop = Loop(store, board, Silent(), Rules, node_grace=1.0)
    loop._watching_since = 0.0
    loop._turn(leader(store))
    assert {job.state for job in store.jobs.get_many(made.jobs)} <= {JobState.QUEUED, JobState.FAILED}
    assert store.jobs.leases("n1") == {}


def test_a_loop_that_stood_still_forgives_the_nodes_their_silence(store: Store, board: Board) -> None:
    loop = Loop(store, board, Silent(), Rules)
    began = loop._watching_since
    loop._notice_a_stop(began + 1.0)
    assert loop._watching_since == began
    loop._notice_a_stop(began + 3600.0)
    assert loop._watching_since == began + 3600.0


def test_why_a_job_waits_is_said_where_nobody_decides(store: Store, board: Board) -> None:
    store.nodes.register(replace(NODE, cpus=2.0), now=now())
    made = store.jobs.submit(make_job(cpus=2), indices=[0, 1], now=1.0)
    first = store.jobs.get(made.jobs[0])
    claim = Claim("l", NODE, (), 2.0, 10)
    store.jobs.move(first, moves.starting(first, claim), now=2.0, by="t", claim=claim)
    key = first.image_key
    store.images.set(key, "n1", ImageOnNode("ready", now(), "sha256:x", run=1))
    assert board.wait_caught_up()
    assert "it needs 2 cores" in (board.why(made.jobs[1]) or "")


def test_rules_that_change_are_in_force_at_the_next_turn_without_any_other_event(
    store: Store, board: Board, tmp_path: Path
) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("[caps]\njobs = 1\n")
    store.nodes.register(NODE, now=now())
    made = store.jobs.submit(make_job(cpus=1, memory="64MB"), indices=[0, 1], now=1.0)
    key = store.jobs.get(made.jobs[0]).image_key
    store.images.set(key, "n1", ImageOnNode("ready", now(), "sha256:x", run=1))
    assert board.wait_caught_up()
    loop = Loop(store, board, Silent(), RulesFile(file))

    def started() -> int:
        store.nodes.heartbeat("n1", {}, now=now())
        return sum(job.state is JobState.STARTING for job in store.jobs.get_many(made.jobs))

    loop.start()
    try:
        wait_for(lambda: started() == 1, 10, "the first job to start")
        wait_for(
            lambda: "the lab's rules allow 1" in (board_why(store, file, made.jobs) or ""), 10, "the reason"
        )
        file.write_text("[caps]\njobs = 2\n")
        wait_for(lambda: started() == 2, 15, "the second job to start")
    finally:
        loop.stop()


def board_why(store: Store, file: Path, jobs: Sequence[str]) -> str | None:
    """Why the job that is left waits, as another process says it that reads the same file."""
    other = Board(store, rules=RulesFile(file))
    other.start()
    try:
        wait_for(lambda: other.loaded, 10, "the board")
        return next((why for job_id in jobs if (why := other.why(job_id))), None)
    finally:
        other.stop()
