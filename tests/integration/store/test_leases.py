"""Leases and moves against a real Redis, under concurrency."""

from __future__ import annotations

import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from builders import GB, make_job, make_node
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labq import moves
from labq.ending import EndFacts, EndReason, Judgement, StopRequest, judge
from labq.errors import (
    ConflictError,
    IllegalMoveError,
    InternalError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from labq.job import GpuHold, Job
from labq.moves import Claim
from labq.states import MOVES, JobState
from labq.store import BusyError, FencedError, LeaderLease, StaleError, Store
from labq_scheduler.board import Board

NODE = make_node("n1", gpus=4, cpus=8, memory=32 * GB)


def submit(store: Store, count: int = 1) -> list[Job]:
    result = store.jobs.submit(make_job(gpus="1"), indices=list(range(count)), now=1.0)
    return store.jobs.get_many(result.jobs)


def start(store: Store, job: Job, token: str, *uuids: str, share: int = 0, cpus: float = 1.0) -> Job:
    claim = Claim(token, NODE, tuple(GpuHold(uuid, share) for uuid in uuids), cpus, GB)
    new = moves.starting(job, claim)
    store.jobs.move(job, new, now=2.0, by="test", claim=claim)
    return new


def test_every_illegal_pair_is_refused_by_redis_itself_and_changes_nothing(store: Store) -> None:
    import itertools

    for state, to in itertools.product(JobState, JobState):
        if (state, to) in MOVES:
            continue
        store.connection.client.flushall()
        job, other = make_job("5", state), make_job("5", to)
        store.connection.client.hset("labq:job:5", mapping=job.to_fields())
        claim = Claim("t", NODE, (), 1.0, 1) if to is JobState.STARTING else None
        with pytest.raises((IllegalMoveError, StaleError)):
            store.jobs.move(job, other, now=1.0, by="test", claim=claim)
        assert store.jobs.get("5") == job
        assert store.events.last_id() == "0-0"


def test_a_stale_writer_changes_nothing_and_is_told_so(store: Store) -> None:
    (job,) = submit(store)
    first = start(store, job, "lease-a", "n1-0")
    with pytest.raises(StaleError, match="starting under lease lease-a, not queued"):
        start(store, job, "lease-b", "n1-1")
    running = moves.running(first, 3.0, "sha")
    store.jobs.move(first, running, now=3.0, by="test")
    done = moves.ended(running, judge(EndFacts(0), None), 0, 4.0)
    store.jobs.move(running, done, now=4.0, by="test")
    with pytest.raises(StaleError):
        store.jobs.move(
            running, moves.stopping(running, StopRequest(EndReason.TIME_LIMIT, "labq", 5.0)), now=5.0, by="x"
        )
    assert store.jobs.get(job.id).state is JobState.SUCCEEDED
    assert store.jobs.leases("n1") == {}


def test_a_gpu_is_given_to_one_of_many_who_claim_it_at_once(store: Store) -> None:
    jobs = submit(store, 16)
    gate = threading.Barrier(16)

    def claim(position: int) -> str | None:
        own = Store(store.connection.url)
        gate.wait()
        try:
            start(own, jobs[position], f"lease-{position}", "n1-2", cpus=0.1)
        except BusyError:
            return None
        return jobs[position].id

    with ThreadPoolExecutor(16) as pool:
        winners = [won for won in pool.map(claim, range(16)) if won]
    assert len(winners) == 1
    assert set(store.jobs.leases("n1").values()) == set(winners)


def test_cores_and_memory_are_never_leased_twice(store: Store) -> None:
    jobs = submit(store, 10)
    fitted, refusals = 0, []
    for number, job in enumerate(jobs):
        try:
            start(store, job, f"l{number}", cpus=3.0)
            fitted += 1
        except BusyError as error:
            refusals.append(error.what)
    assert fitted == 2
    assert len(refusals) == 8
    assert all("not enough cores" in text for text in refusals)


def test_the_last_disk_is_given_to_one_of_many_who_claim_it_at_once(store: Store) -> None:
    node, jobs = replace(NODE, disk=100 * GB), submit(store, 8)
    gate = threading.Barrier(8)

    def claim(position: int) -> str | None:
        own, job = Store(store.connection.url), jobs[position]
        taken = Claim(f"lease-{position}", node, (), 0.1, GB, 60 * GB)
        gate.wait()
        try:
            own.jobs.move(job, moves.starting(job, taken), now=2.0, by="test", claim=taken)
        except BusyError as error:
            assert "not enough disk" in error.what
            return None
        return job.id

    with ThreadPoolExecutor(8) as pool:
        (winner,) = [won for won in pool.map(claim, range(8)) if won]
    assert store.jobs.get(winner).disk == 60 * GB
    assert store.jobs.leases("n1") == {store.jobs.get(winner).lease: winner}


def test_a_disk_that_shrank_keeps_nobody_out_who_asks_for_none(store: Store) -> None:
    first, second, third = submit(store, 3)
    large = Claim("l1", replace(NODE, disk=100 * GB), (), 0.1, GB, 60 * GB)
    store.jobs.move(first, moves.starting(first, large), now=2.0, by="test", claim=large)
    small = replace(NODE, disk=10 * GB)
    none, some = Claim("l2", small, (), 0.1, GB), Claim("l3", small, (), 0.1, GB, GB)
    store.jobs.move(second, moves.starting(second, none), now=2.0, by="test", claim=none)
    with pytest.raises(BusyError, match="not enough disk"):
        store.jobs.move(third, moves.starting(third, some), now=2.0, by="test", claim=some)


def test_leases_of_a_server_that_knew_no_disk_count_as_none(store: Store) -> None:
    job, node = submit(store)[0], replace(NODE, disk=100 * GB)
    old = json.dumps({"job": "77", "attempt": 1, "gpus": [], "cpus": 1.0, "memory": GB})
    store.connection.client.hset("labq:leases:n1", "old", old)
    claim = Claim("l", node, (), 0.1, GB, 100 * GB)
    store.jobs.move(job, moves.starting(job, claim), now=2.0, by="test", claim=claim)
    assert set(store.jobs.leases("n1")) == {"old", "l"}


def test_the_events_tell_the_whole_story(store: Store) -> None:
    (job,) = submit(store)
    first = start(store, job, "l1", "n1-0")
    running = moves.running(first, 3.0, "sha")
    store.jobs.move(first, running, now=3.0, by="agent n1")
    failed = moves.ended(running, Judgement(EndReason.EXIT_CODE, "Failed: exit code 1."), 1, 4.0)
    store.jobs.move(running, failed, now=4.0, by="agent n1")
    events = store.events.read("0-0")
    assert [e.type for e in events] == ["submitted", "moved", "moved", "moved"]
    assert [(e.fields["from"], e.fields["to"]) for e in events[1:]] == [
        ("queued", "starting"), ("starting", "running"), ("running", "failed"),
    ]  # fmt: skip
    assert json.loads(events[1].fields["set"])["gpus"] == '[["n1-0",0]]'
    assert store.jobs.get(job.id) == failed


def test_a_retry_frees_the_lease_and_keeps_the_attempt(store: Store) -> None:
    result = store.jobs.submit(make_job(gpus="1", retries=1), indices=None, now=1.0)
    job = store.jobs.get(result.id)
    first = start(store, job, "l1", "n1-0")
    running = moves.running(first, 3.0, "sha")
    store.jobs.move(first, running, now=3.0, by="test")
    again = moves.ended(running, Judgement(EndReason.EXIT_CODE, "Failed: exit code 1."), 1, 4.0)
    store.jobs.move(running, again, now=4.0, by="test")
    stored = store.jobs.get(job.id)
    assert stored == again
    assert (stored.state, stored.lease, stored.node, len(stored.attempts)) == (JobState.QUEUED, None, None, 1)
    assert store.jobs.leases("n1") == {}


def test_one_idempotency_key_makes_one_job_under_concurrency(store: Store) -> None:
    gate = threading.Barrier(8)

    def once(_: int) -> str:
        own = Store(store.connection.url)
        gate.wait()
        return own.jobs.submit(make_job(), indices=None, now=1.0, idempotency_key="k").id

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(once, range(8)))
    assert ids == {"1"}
    assert store.jobs.active_ids() == ["1"]


def test_a_key_used_for_another_request_is_a_conflict_and_makes_nothing(store: Store) -> None:
    store.jobs.submit(make_job(), indices=None, now=1.0, idempotency_key="k")
    assert store.jobs.submit(make_job(), indices=None, now=9.0, idempotency_key="k").again
    for other, indices in ((make_job(name="other"), None), (make_job(), [0, 1])):
        with pytest.raises(ConflictError, match="'k' was used before, for another request"):
            store.jobs.submit(other, indices=indices, now=1.0, idempotency_key="k")
    assert store.jobs.active_ids() == ["1"]


def test_a_redis_that_takes_no_writes_is_away_and_not_a_fault_of_labq(store: Store) -> None:
    client = store.connection.client
    client.config_set("maxmemory", "1")
    try:
        with pytest.raises(UnavailableError, match=r"Redis takes no writes: .*OOM"):
            store.jobs.submit(make_job(), indices=None, now=1.0)
    finally:
        client.config_set("maxmemory", "0")
    assert store.jobs.active_ids() == []


def test_one_record_that_cannot_be_read_stops_nothing(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    first, second = submit(store, 2)
    bad = json.dumps({"image": "x", "gpus": "nonsense of an older version"})
    store.connection.client.hset(f"labq:job:{first.id}", "spec", bad)
    assert store.jobs.get_many([first.id, second.id]) == [second]
    assert f"the record of job {first.id} cannot be read" in caplog.text
    board = Board(store)
    board.start()
    assert board.wait_caught_up()
    assert set(board.jobs) == {second.id}
    board.stop()


def test_what_could_not_be_read_back_is_never_stored(store: Store) -> None:
    bad = replace(make_job(), spec=replace(make_job().spec, command=("a\0b",)))
    with pytest.raises(InternalError, match="cannot be stored"):
        store.jobs.submit(bad, indices=None, now=1.0)
    assert store.jobs.active_ids() == []


def test_an_unknown_dependency_and_a_full_queue_are_refused_and_make_nothing(store: Store) -> None:
    with pytest.raises(NotFoundError, match="job 99, which this one waits for"):
        store.jobs.submit(make_job(after=["99"]), indices=None, now=1.0)
    with pytest.raises(TooLargeError, match="ann has 0 jobs queued"):
        store.jobs.submit(make_job(), indices=list(range(11)), now=1.0, max_queued=10)
    assert store.jobs.active_ids() == []


def test_the_number_of_queued_jobs_counts_down_when_they_start_and_up_when_they_come_back(
    store: Store,
) -> None:
    (job,) = submit(store)
    first = start(store, job, "l1", "n1-0")
    assert store.connection.client.get("labq:queued:ann") == "0"
    back = moves.ended(first, Judgement(EndReason.START_REJECTED, "no"), None, 3.0)
    store.jobs.move(first, back, now=3.0, by="test")
    assert store.connection.client.get("labq:queued:ann") == "1"


def test_secrets_are_kept_apart_and_gone_when_the_job_ends(store: Store) -> None:
    result = store.jobs.submit(
        make_job(secrets=["TOKEN"]), indices=None, now=1.0, secrets={"TOKEN": "hunter2"}
    )
    assert store.jobs.secrets(result.id) == {"TOKEN": "hunter2"}
    assert "hunter2" not in json.dumps([dict(e.fields) for e in store.events.read("0-0")])
    job = store.jobs.get(result.id)
    store.jobs.move(
        job, moves.ended(job, Judgement(EndReason.CANCELLED_BY_USER, "c"), None, 2.0), now=2.0, by="ann"
    )
    assert store.jobs.secrets(result.id) == {}


def test_a_final_record_stays_as_long_as_the_server_says_whoever_moves_it(store: Store) -> None:
    first, second = submit(store, 2)
    cancelled = Judgement(EndReason.CANCELLED_BY_USER, "c")
    store.jobs.move(first, moves.ended(first, cancelled, None, 2.0), now=2.0, by="ann")
    assert 13 * 86400 < store.connection.client.ttl(f"labq:job:{first.id}") <= 14 * 86400
    Store(store.connection.url).jobs.set_keep(3600)
    store.jobs.move(second, moves.ended(second, cancelled, None, 2.0), now=2.0, by="ann")
    assert 3500 < store.connection.client.ttl(f"labq:job:{second.id}") <= 3600


def test_a_deposed_leader_can_move_nothing(store: Store) -> None:
    (job,) = submit(store)
    old = LeaderLease(store.connection)
    fence = old.acquire()
    store.connection.client.delete("labq:leader")  # its lease ran out
    assert LeaderLease(store.connection).acquire() == (fence or 0) + 1
    assert old.acquire() is None
    claim = Claim("t", NODE, (), 1.0, GB)
    with pytest.raises(FencedError):
        store.jobs.move(job, moves.starting(job, claim), now=1.0, by="old", claim=claim, fence=fence)


STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0, 8 * GB, 20 * GB]), st.booleans()), max_size=25
)


@given(STEPS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_sequence_of_claims_and_ends_leases_a_card_beyond_its_memory(
    store: Store, steps: list[tuple[int, int, bool]]
) -> None:
    store.connection.client.flushall()
    jobs = submit(store, len(steps)) if steps else []
    live: list[Job] = []
    for number, ((gpu, share, release), job) in enumerate(zip(steps, jobs, strict=True)):
        if release and live:
            old = live.pop(0)
            ended = moves.ended(old, Judgement(EndReason.TIME_LIMIT, "t"), None, 3.0)
            if old.state is JobState.STARTING:
                old2 = moves.running(old, 2.0, "x")
                store.jobs.move(old, old2, now=2.0, by="t")
                old, ended = old2, moves.ended(old2, Judgement(EndReason.TIME_LIMIT, "t"), None, 3.0)
            store.jobs.move(old, ended, now=3.0, by="t")
        with contextlib.suppress(BusyError):
            live.append(start(store, job, f"t{number}", f"n1-{gpu}", share=share, cpus=0.01))
        held: dict[str, list[int]] = {}
        for other in live:
            for hold in other.gpus:
                held.setdefault(hold.uuid, []).append(hold.memory)
        for shares in held.values():
            assert shares == [0] or (0 not in shares and sum(shares) <= 24 * GB)
        assert set(store.jobs.leases("n1").values()) == {other.id for other in live}
