"""Jobs moved a little, and jobs under a site's maximum."""

from __future__ import annotations

from unit.simulate.workload import workload

from labq_scheduler.simulate.shake import JITTER, limited, shaken
from labq_scheduler.simulate.traces import TraceJob


def test_the_same_seed_moves_jobs_alike_and_another_does_not() -> None:
    trace = workload(1)
    assert shaken(trace, 7, 0) == shaken(trace, 7, 0)
    assert shaken(trace, 7, 0) != shaken(trace, 7, 1)
    assert shaken(trace, 7, 0) != shaken(trace, 8, 0)


def test_only_submissions_move_by_half_an_hour_at_most_and_stay_in_order() -> None:
    trace = workload(1)
    moved = shaken(trace, 0, 0)
    assert [job.submitted for job in moved] == sorted(job.submitted for job in moved)
    before = {job.id: job for job in trace}
    for job in moved:
        old = before.pop(job.id)
        assert abs(job.submitted - old.submitted) <= JITTER
        assert job.submitted >= 0
        assert (job.user, job.duration, job.gpus) == (old.user, old.duration, old.gpus)
    assert before == {}


def test_a_maximum_run_time_is_everybodys_limit_and_nobody_outlives_it() -> None:
    trace = [
        TraceJob("long", "a", 0.0, 500.0, 1), TraceJob("short", "a", 0.0, 50.0, 1, limit=80.0),
        TraceJob("said more", "a", 0.0, 50.0, 1, limit=900.0),
    ]  # fmt: skip
    assert [(job.duration, job.limit) for job in limited(trace, 100.0)] == [
        (100.0, 100.0),
        (50.0, 80.0),
        (50.0, 100.0),
    ]
