"""A job whose last outputs are on their way waits for them, says so, and for no longer than they can come."""

from __future__ import annotations

from builders import make_job, make_node

from labq import moves
from labq.clock import now
from labq.ending import EndReason, Judgement
from labq.job import Job
from labq.moves import Claim
from labq.states import JobState
from labq.store import Store
from labq_scheduler.board import Board
from labq_scheduler.due_outputs import PATIENCE, give_up, given_up

NODE = make_node("n1", gpus=2)
GONE = make_node("n2")


def preempted(store: Store, *, retries: int = 0, reason: EndReason = EndReason.PREEMPTED) -> Job:
    """Return a job that ran on n1 from 2.0 to 4.0, waits again, and whose outputs are being sent."""
    made = store.jobs.submit(make_job(retries=retries), indices=None, now=1.0)
    job = store.jobs.get(made.id)
    claim = Claim("l", NODE, (), 0.1, 10)
    starting = moves.starting(job, claim)
    store.jobs.move(job, starting, now=2.0, by="t", claim=claim)
    running = moves.running(starting, 2.0, "sha")
    store.jobs.move(starting, running, now=2.0, by="t")
    back = moves.ended(running, Judgement(reason, "Over."), 143, 4.0, sending=True)
    store.jobs.move(running, back, now=4.0, by="agent n1")
    return back


def waiting(board: Board, at: float) -> list[str]:
    return [job.id for jobs in board.snapshot(at).queue.jobs for job in jobs]


def test_it_is_considered_when_they_have_arrived_and_not_before(store: Store, board: Board) -> None:
    job = preempted(store)
    assert board.wait_caught_up()
    assert waiting(board, 10.0) == []
    assert board.why(job.id) == (
        "what attempt 1 left in /outputs is still on its way from n1; it goes on with that"
    )
    assert store.jobs.outputs_arrived(job.id, 7, now=20.0) == "", "those of another attempt are others"
    event = store.jobs.outputs_arrived(job.id, 1, now=20.0)
    assert board.wait_for(event)
    assert waiting(board, 21.0) == [job.id]
    assert board.jobs[job.id] == store.jobs.get(job.id)
    assert board.jobs[job.id].outputs_due is None
    assert board.jobs[job.id].not_before == 20.0, "its wait for GPUs is counted from here"
    assert store.jobs.outputs_arrived(job.id, 1, now=30.0) == "", "sent twice, told once"


def test_outputs_that_arrive_early_do_not_shorten_the_pause_before_a_retry(
    store: Store, board: Board
) -> None:
    job = preempted(store, retries=1, reason=EndReason.EXIT_CODE)
    assert job.not_before == 9.0
    assert board.wait_for(store.jobs.outputs_arrived(job.id, 1, now=5.0))
    assert store.jobs.get(job.id).not_before == 9.0
    assert waiting(board, 8.0) == []
    assert waiting(board, 10.0) == [job.id]


def test_a_job_that_is_over_waits_for_nothing(store: Store) -> None:
    job = preempted(store)
    over = moves.ended(job, Judgement(EndReason.CANCELLED_BY_USER, "Cancelled."), None, 5.0)
    store.jobs.move(job, over, now=5.0, by="ann")
    kept = store.jobs.get(job.id)
    assert (kept.state, kept.outputs_due) == (JobState.CANCELLED, None)
    assert store.jobs.outputs_arrived(job.id, 1, now=6.0) == ""


def test_a_start_by_somebody_who_did_not_know_leaves_nothing_due(store: Store) -> None:
    job = preempted(store)
    claim = Claim("l2", NODE, (), 0.1, 10)
    store.jobs.move(job, moves.starting(job, claim), now=5.0, by="t", claim=claim)
    assert store.jobs.get(job.id).outputs_due is None


def test_a_node_that_is_lost_or_removed_is_not_waited_for(store: Store, board: Board) -> None:
    store.nodes.register(NODE, now=now())
    job = preempted(store)
    nodes = {NODE.name: NODE}
    assert given_up([job], nodes, now=100.0, watching_since=0.0) == []
    assert given_up([make_job("9")], {}, now=100.0, watching_since=0.0) == []
    assert given_up([job], {GONE.name: GONE}, now=100.0, watching_since=0.0) == [job]
    assert given_up([job], nodes, now=5.0 + PATIENCE, watching_since=0.0) == [job]
    assert given_up([job], nodes, now=5.0 + PATIENCE, watching_since=100.0) == [], "we were away ourselves"
    assert give_up([job], nodes, store, now=100.0, watching_since=0.0) == ""
    event = give_up([job], {}, store, now=100.0, watching_since=0.0)
    assert board.wait_for(event)
    assert waiting(board, 101.0) == [job.id]
