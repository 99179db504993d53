"""My jobs: what one person's GPUs and containers did, for one job or for all; Slack and `labq show` link here."""

from __future__ import annotations

from labq_dashboards import frame, promql
from labq_dashboards.palette import BAD, GOOD, JOB_STATES, WATCH, gpu_states
from labq_dashboards.panels import About, Query, lines, note, number, timeline
from labq_dashboards.promql import JOB, MINE, NODE, PERSON
from labq_dashboards.tables import Column, rows

CHOSEN = f"{NODE}, {PERSON}, {JOB}"
HELP = """\
Choose a **person**, and a **job** if you like: every panel then follows the GPUs for as long as that person or job had them.
Set the time to the life of the job; links from Slack do so.

`labq show JOB` its state and why it ended · `labq logs -f JOB` · `labq why JOB` why it waits · `labq usage` hours that count

Low utilization with full memory: the GPU waits for data. Try more loader processes, larger batches.
"""


def containers(expr: str) -> str:
    """Return what `expr` says of containers of the chosen people and jobs."""
    return f"{expr} and on (node, container) max by (node, container) (labq_container_info{{{CHOSEN}}})"


active = number(
    About(1, "Jobs", "Jobs of the chosen people that are not over.", "none", "No job waits or runs"),
    *(Query(promql.jobs(state), state) for state in ("queued", "running")),
    colors=JOB_STATES,
)
holds = number(
    About(
        2,
        "GPUs now",
        "GPUs that are held now, in or outside the queue.",
        "none",
        "None is held",
        steps=((None, "blue"),),
    ),
    Query(f"count({MINE})"),
)
worked = number(
    About(
        3, "Worked",
        "Mean utilization of the GPUs for as long as they were held in this time.",
        "percentunit", "No GPU was held", steps=((None, BAD), (0.2, WATCH), (0.5, GOOD)),
    ),
    Query(f"avg(avg_over_time(({promql.mine('labq_gpu_utilization_ratio')})[$__range:$__interval]))"),
    decimals=0,
)  # fmt: skip
peak = number(
    About(
        4, "Peak memory",
        "The most that one holder had on one GPU, and one container in the machine, in this time: ask for this and a little more.",
        "bytes", "Nothing was held",
    ),
    Query(f"max(max_over_time(labq_gpu_holder_memory_used_bytes{{{CHOSEN}}}[$__range]))", "on a GPU"),
    Query(
        f"max(max_over_time(labq_container_memory_bytes{{{NODE}, {PERSON}}}[$__range]) and on (node, container)"
        f" max by (node, container) (last_over_time(labq_container_info{{{CHOSEN}}}[$__range])))",
        "of the machine",
    ),
    decimals=1,
)  # fmt: skip
help_ = note(5, "How to read this", "How to choose, and what to type.", HELP)

now = rows(
    About(6, "Held now", "Every GPU that the chosen people and jobs hold now.", "none", "Nothing is held now"),
    [
        Query(promql.with_model(promql.by_gpu(promql.holders("labq_gpu_holder_info", CHOSEN), promql.STATE))),
        Query(promql.with_model(f"{promql.holders('labq_gpu_holder_start_time_seconds', CHOSEN, 'min')} * 1000")),
        Query(promql.with_model(promql.by_gpu(
            promql.holders("labq_gpu_holder_info", CHOSEN), f"max by (node, gpu) (labq_gpu_utilization_ratio{{{NODE}}})"))),
        Query(promql.with_model(promql.holders("labq_gpu_holder_memory_used_bytes", CHOSEN, "sum"))),
    ],
    [
        Column("A", "State", look="cell", mappings=gpu_states(), steps=((None, "text"),), width=140),
        Column("user", "Person"),
        Column("what", "What"),
        Column("node", "Node", width=120),
        Column("gpu", "GPU", width=60),
        Column("model", "Model"),
        Column("B", "Since", "dateTimeFromNow", width=130),
        Column("C", "Utilization", "percentunit", "gauge", ((None, WATCH), (0.05, "blue")), decimals=0),
        Column("D", "Memory", "bytes", decimals=1),
    ],
    sort=(("Since", True),),
)  # fmt: skip
life = timeline(
    About(
        7, "State of the GPUs while they were held",
        "One row for each GPU, only while it was held by the chosen people and jobs.",
        "none", "No GPU was held in this time", mappings=gpu_states(),
    ),
    Query(f"{promql.STATE} and on (node, gpu) {MINE}", "{{node}} {{gpu}}"),
)  # fmt: skip
utilization = lines(
    About(
        8,
        "Utilization",
        "Share of time in which the GPU computed.",
        "percentunit",
        "No GPU was held in this time",
    ),
    Query(promql.mine("labq_gpu_utilization_ratio"), "{{node}} {{gpu}}"),
    top=1,
)
memory = lines(
    About(
        9, "Memory on the GPUs",
        "What the chosen holders have on each GPU, and how much the card has.",
        "bytes", "No GPU was held in this time",
    ),
    Query(f"sum by (node, gpu) (labq_gpu_holder_memory_used_bytes{{{CHOSEN}}})", "{{node}} {{gpu}}"),
    Query(f"max({promql.mine('labq_gpu_memory_total_bytes')})", "the card has"),
    dashed=("the card has",),
)  # fmt: skip
power = lines(
    About(10, "Power", "Power drawn by each GPU while it was held.", "watt", "No GPU was held in this time"),
    Query(promql.mine("labq_gpu_power_watts"), "{{node}} {{gpu}}"),
)
processors = lines(
    About(
        11, "Processors of the containers",
        "Cores that each container kept busy. A GPU that waits while this is at the job's limit waits for processors.",
        "suffix:cores", "No container ran in this time",
    ),
    Query(
        containers(f"sum by (node, container) (rate(labq_container_cpu_seconds_total{{{NODE}, {PERSON}}}[$__rate_interval]))"),
        "{{node}} {{container}}",
    ),
)  # fmt: skip
ram = lines(
    About(
        12, "Memory of the containers",
        "Memory of the machine that each container has; a job that passes what it asked for is ended.",
        "bytes", "No container ran in this time",
    ),
    Query(containers(f"sum by (node, container) (labq_container_memory_bytes{{{NODE}, {PERSON}}})"), "{{node}} {{container}}"),
)  # fmt: skip

PAGE = frame.Page(
    uid=frame.MY_JOBS,
    question="What did my job do with its GPUs, processors and memory, over its life?",
    rows=[
        frame.Row(5, [(4, active), (3, holds), (3, worked), (6, peak), (8, help_)]),
        frame.Row(6, [(24, now)]),
        frame.Row(5, [(24, life)]),
        frame.Row(8, [(8, utilization), (8, memory), (8, power)]),
        frame.Row(8, [(12, processors), (12, ram)]),
    ],
    variables=[
        frame.user(),
        frame.variable(
            "job", "Job", 'label_values({__name__=~"labq_gpu_lease|labq_gpu_holder_info", user=~"$user"}, job_id)',
            "Jobs that had a GPU while the page's time lasts",
        ),
        frame.node(),
    ],
)  # fmt: skip
