"""The board against a real Redis: it shows what Redis holds, whatever happened."""

from __future__ import annotations

from builders import make_job, make_node
from support.redis import RedisServer
from support.waiting import wait_for

from labq import moves
from labq.ending import EndReason, Judgement
from labq.image import ImageOnNode
from labq.job import GpuHold
from labq.moves import Claim
from labq.states import JobState
from labq.store import Store
from labq_scheduler.board import Board

NODE = make_node("n1", gpus=2)


def test_a_write_is_seen_after_waiting_for_it(store: Store, board: Board) -> None:
    for _ in range(20):
        made = store.jobs.submit(make_job(), indices=None, now=1.0)
        assert board.wait_caught_up()
        assert board.jobs[made.id].state is JobState.QUEUED


def test_the_board_equals_redis_after_many_moves(store: Store, board: Board) -> None:
    made = store.jobs.submit(make_job(gpus="1"), indices=list(range(50)), now=1.0)
    jobs = store.jobs.get_many(made.jobs)
    for number, job in enumerate(jobs):
        if number % 2:
            claim = Claim(f"l{number}", NODE, (GpuHold("n1-0", 10),), 0.1, 10)
            new = moves.starting(job, claim)
            store.jobs.move(job, new, now=2.0, by="t", claim=claim)
            if number % 3 == 0:
                run = moves.running(new, 3.0, "sha")
                store.jobs.move(new, run, now=3.0, by="t")
                store.jobs.move(
                    run, moves.ended(run, Judgement(EndReason.EXIT_CODE, "x"), 1, 4.0), now=4.0, by="t"
                )
    store.jobs.set_note(jobs[0], "見て", now=5.0)
    assert board.wait_caught_up()
    truth = {job.id: job for job in store.jobs.get_many(made.jobs)}
    assert {job_id: board.jobs[job_id] for job_id in truth} == truth
    other = Board(store)
    other.start()
    assert other.wait_caught_up()
    ended_lately = {i for i, job in truth.items() if job.ended_at is None}
    assert {i: other.jobs[i] for i in ended_lately} == {i: truth[i] for i in ended_lately}
    other.stop()


def test_arrays_keep_their_order_and_requeued_jobs_their_place(store: Store, board: Board) -> None:
    made = store.jobs.submit(make_job(gpus="1"), indices=[0, 1, 2, 10], now=1.0)
    job = store.jobs.get(made.jobs[0])
    claim = Claim("l", NODE, (), 0.1, 10)
    new = moves.starting(job, claim)
    store.jobs.move(job, new, now=2.0, by="t", claim=claim)
    back = moves.ended(new, Judgement(EndReason.PREEMPTED, "p"), None, 3.0)
    store.jobs.move(new, back, now=3.0, by="t")
    assert board.wait_caught_up()
    (pending,) = board.snapshot(100.0).queue.jobs
    assert [job.id for job in pending] == ["1.0", "1.1", "1.2", "1.10"]


def test_held_jobs_become_pending_when_their_time_or_dependency_comes(store: Store, board: Board) -> None:
    first = store.jobs.submit(make_job(), indices=None, now=1.0)
    later = store.jobs.submit(make_job(not_before="2027-01-01T00:00:00Z"), indices=None, now=1.0)
    after = store.jobs.submit(make_job(after=[first.id]), indices=None, now=1.0)
    assert board.wait_caught_up()
    assert "not to start before 2027" in (board.why(later.id) or "")
    assert f"waits for job {first.id} to succeed (now queued)" in (board.why(after.id) or "")
    assert [job.id for job in board.snapshot(1e6).held] == [later.id, after.id]
    assert {job.id for jobs in board.snapshot(1.8e9).queue.jobs for job in jobs} == {first.id, later.id}


def test_after_a_crash_of_redis_the_board_shows_what_redis_still_has(
    store: Store, board: Board, redis_server: RedisServer
) -> None:
    kept = store.jobs.submit(make_job(), indices=None, now=1.0)
    assert board.wait_caught_up()
    redis_server.kill()
    redis_server.start()
    wait_for(lambda: board.loaded and board.wait_caught_up(), 20, "the board to load again")
    more = store.jobs.submit(make_job(), indices=None, now=1.0)
    assert board.wait_caught_up()
    assert {kept.id, more.id} <= set(board.jobs)


def test_an_image_that_went_away_gets_a_new_number_for_its_next_preparation(
    store: Store, board: Board
) -> None:
    store.images.set("ref:x", "n1", ImageOnNode("ready", 1.0, "sha", run=3))
    store.images.forget("ref:x", "n1", now=2.0)
    assert board.wait_caught_up()
    said = board.images["ref:x"].nodes["n1"]
    assert (said.state, said.run, board.images["ref:x"].ready_on("n1")) == ("absent", 3, False)
