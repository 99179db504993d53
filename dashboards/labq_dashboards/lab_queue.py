"""The queue: who waits, for how long, and whether it moves."""

from __future__ import annotations

from labq_dashboards import frame
from labq_dashboards.palette import BAD, GOOD, JOB_STATES, QUIET, WATCH
from labq_dashboards.panels import About, Query, bars, lines, number
from labq_dashboards.promql import NODE
from labq_dashboards.promql import jobs as jobs_in
from labq_dashboards.tables import Column, rows

HOUR = "[1h]"
SCHEDULABLE = f"sum(max by (node) (labq_gpus_schedulable{{{NODE}}}))"
ALL = f"sum(max by (node) (labq_gpus{{{NODE}}}))"


def wait(quantile: float) -> str:
    """Return a quantile of the waiting times of jobs that began in the last hour."""
    return f"histogram_quantile({quantile}, sum by (le) (rate(labq_job_wait_seconds_bucket{HOUR})))"


def turn(phase: str) -> str:
    """Return the slow turns of the loop: the 95th percentile of five minutes."""
    return f'histogram_quantile(0.95, sum by (le) (rate(labq_scheduler_decision_seconds_bucket{{phase="{phase}"}}[5m])))'


jobs = number(
    About(
        1, "Jobs", "Jobs that are not over, by state.", "none", "The server says nothing, or there is no job"
    ),
    *(Query(jobs_in(state), state) for state in ("queued", "starting", "running")),
    colors=JOB_STATES,
)
gpus = number(
    About(
        2, "GPUs of the queue",
        "Schedulable: a job could be given it now. Leased: a job has it. The rest is used outside the queue, paused, or broken.",
        "none", "The server knows no node",
    ),
    Query(SCHEDULABLE, "schedulable"),
    Query(f"count(max by (node, gpu) (labq_gpu_lease{{{NODE}}})) or {ALL} * 0", "leased"),
    Query(ALL, "all"),
    colors={"schedulable": GOOD, "leased": "blue", "all": "text"},
)  # fmt: skip
alive = number(
    About(
        3, "Last turn of the scheduler",
        "How long ago the loop last decided. More than two minutes: it stands still; see `labq doctor`.",
        "s", "No scheduler is running", steps=((None, GOOD), (30, WATCH), (120, BAD)),
    ),
    Query("time() - max(labq_scheduler_last_pass_timestamp_seconds)"),
    decimals=0,
)  # fmt: skip
typical = number(
    About(
        4, "Wait of an hour's jobs",
        "Of the jobs that were given a node in the last hour: half waited less than this, and one in twenty more than that. Beside it: how long the oldest job has waited that waits for resources now.",
        "s", "No job began in the last hour", steps=((None, "text"),),
    ),
    Query(f"{wait(0.5)} >= 0", "half"),
    Query(f"{wait(0.95)} >= 0", "one in twenty"),
    Query("max(labq_jobs_oldest_wait_seconds)", "waits longest now"),
    decimals=0,
)  # fmt: skip
by_state = lines(
    About(5, "Jobs by state", "Jobs that are not over.", "none", "There is no job"),
    *(Query(jobs_in(state), state) for state in ("running", "starting", "stopping", "queued")),
    stacked=True,
    colors=JOB_STATES,
)
waiting = lines(
    About(
        6,
        "Waiting, by person",
        "Jobs in the queue. `labq why JOB` says what one of them waits for.",
        "none",
        "Nobody waits",
    ),
    Query(jobs_in("queued", "user") + " > 0", "{{user}}"),
    stacked=True,
)
waits = lines(
    About(
        7, "Wait until a node was given",
        "Of jobs that began in the hour before. Says nothing of jobs that still wait: see the table of those who wait with nothing running.",
        "s", "No job began in this time",
    ),
    Query(wait(0.5), "half"),
    Query(wait(0.95), "one in twenty"),
    colors={"half": "blue", "one in twenty": WATCH},
)  # fmt: skip
STARVED = (
    f"sum by (user) (sum_over_time(({jobs_in('queued', 'user')} > bool 0"
    f" unless on (user) {jobs_in('starting|running', 'user')} > 0)[$__range:$__interval])) * $__interval_ms / 1000 > 0"
)
starved = rows(
    About(
        8, "Waiting with nothing running",
        "For how long, in this time, each person had jobs in the queue and none that ran: the way to see starvation."
        " Which jobs: `labq ls --state queued`.",
        "none", "Nobody waited with nothing running",
    ),
    [Query(STARVED), Query(f"{jobs_in('queued', 'user')} and on (user) {STARVED}")],
    [
        Column("user", "Person"),
        Column("A", "For", "s", "text", ((None, "text"), (14400, WATCH), (86400, BAD))),
        Column("B", "Jobs waiting now"),
    ],
    sort=(("For", True),),
)  # fmt: skip
began = lines(
    About(
        9,
        "Jobs that began and ended",
        "How many, and how they ended: the reasons are those of `labq show`.",
        "none",
        "No job ended",
    ),
    Query("sum(increase(labq_jobs_started_total[$__rate_interval]))", "began"),
    Query("sum by (reason) (increase(labq_jobs_ended_total[$__rate_interval])) > 0", "ended: {{reason}}"),
    colors={
        "began": "text",
        "ended: completed": GOOD,
        "ended: cancelled_by_user": QUIET,
        "ended: exit_code": BAD,
    },
    bars=True,
)
reasons = bars(
    About(
        10, "How jobs ended", "Ends in this time, by state and reason.", "none", "No job ended in this time"
    ),
    Query(
        "sort_desc(round(sum by (state, reason) (increase(labq_jobs_ended_total[$__range]))) > 0)",
        "{{state}}: {{reason}}",
    ),
)
capacity = lines(
    About(
        11, "GPUs of the queue over time",
        "Free GPUs while people wait: their jobs ask for what is not free (more memory, a model, several at once), or the queue is stuck.",
        "none", "The server knows no node",
    ),
    Query(ALL, "all"),
    Query(f"count(max by (node, gpu) (labq_gpu_lease{{{NODE}}}))", "leased"),
    Query(SCHEDULABLE, "schedulable"),
    colors={"schedulable": GOOD, "leased": "blue"},
    dashed=("all",),
)  # fmt: skip
deciding = lines(
    About(
        12, "Time of a turn of the scheduler",
        "One turn in twenty took longer than this: to read and decide, and to write and tell the nodes.",
        "s", "No scheduler is running",
    ),
    Query(turn("decide"), "deciding"),
    Query(turn("apply"), "applying"),
)  # fmt: skip

PAGE = frame.Page(
    uid=frame.QUEUE,
    question="Who waits, how long does it take to get a GPU, and does the queue move?",
    rows=[
        frame.Row(4, [(7, jobs), (7, gpus), (4, alive), (6, typical)]),
        frame.Row(8, [(8, by_state), (8, waiting), (8, starved)]),
        frame.Row(8, [(8, waits), (8, capacity), (8, deciding)]),
        frame.Row(8, [(14, began), (10, reasons)]),
    ],
    variables=[frame.user(), frame.node()],
)
