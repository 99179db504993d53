"""Who uses which GPU now: the home page, and the one that hangs on the wall."""

from __future__ import annotations

from labq_dashboards import frame, promql
from labq_dashboards.palette import BAD, GOOD, QUIET, WATCH, WAYS, gpu_states, own_names, words
from labq_dashboards.panels import About, Query, bars, note, number, timeline
from labq_dashboards.promql import NODE, STATE
from labq_dashboards.tables import Column, rows

TO_JOB = (
    "What this job does",
    f"/d/{frame.MY_JOBS}?var-user=${{__data.fields.Person}}&var-job=${{__data.fields.Job}}&${{__url_time_range}}",
)
TO_PERSON = (
    "This person's GPUs",
    f"/d/{frame.MY_JOBS}?var-user=${{__data.fields.Person}}&${{__url_time_range}}",
)
TO_NODE = ("Health of this node", f"/d/{frame.NODES}?var-node=${{__data.fields.Node}}&${{__url_time_range}}")

HELP = """\
**Free** GPUs are yours for `labq submit --gpus 1 .`; *held without use* are not free: ask the person in the row.
`labq top` shows this table in a terminal, `labq why JOB` says what a waiting job waits for.
A person in *Outside* took the GPU without the queue (`docker run`, ssh); the queue keeps away from it meanwhile.
More: `docs/howto/dashboards.md`, `docs/explanation/who-holds-a-gpu.md`.
"""

free = number(
    About(
        1, "Free now",
        "GPUs that nobody holds and no job has reserved. A node whose agent is paused or dead may have free GPUs that the queue does not give out:"
        " see Queue.",
        "none", "No GPU is watched", steps=((None, WATCH), (1, GOOD)),
    ),
    Query(f"sum(max by (node, gpu) (labq_gpu_state{{{NODE}}}) == bool 0)", "free"),
    whole=True,
)  # fmt: skip

#: title -> which states
COUNTS = {
    "busy": "== bool 3",
    "held without use": "== bool 2",
    "reserved": "== bool 1",
    "lost or silent": ">= bool 4",
}
others = number(
    About(
        2, "The other GPUs",
        "Busy: a kernel ran lately (above 5 % of the time). Held without use: memory is taken or a job is there, and nothing runs. Reserved: leased to a"
        " job that has no process yet. Lost or silent: the driver cannot read the card.",
        "none", "No GPU is watched",
    ),
    *(Query(f"sum({STATE} {test})", name) for name, test in COUNTS.items()),
    colors={"busy": "blue", "held without use": WATCH, "reserved": "light-blue", "lost or silent": BAD},
)  # fmt: skip

outside = number(
    About(
        3, "Outside the queue",
        "GPUs that somebody uses without a job of the queue. Nothing is placed on them meanwhile.",
        "none", "No GPU is watched", steps=((None, GOOD), (1, WATCH)),
    ),
    Query(
        f'count(max by (node, gpu) (labq_gpu_holder_info{{{NODE}, job_id=""}})) or sum(max by (node, gpu) (labq_gpu_info{{{NODE}}})) * 0',
        "outside",
    ),
)  # fmt: skip

nobodys = number(
    About(
        4, "Owner not known",
        "Holders of whom no rule could say whose they are; docs/explanation/who-holds-a-gpu.md says what to do.",
        "none", "No GPU is watched", steps=((None, GOOD), (1, BAD)),
    ),
    Query(
        f'count(labq_gpu_holder_info{{{NODE}, user="unknown"}}) or sum(max by (node, gpu) (labq_gpu_info{{{NODE}}})) * 0',
        "not known",
    ),
)  # fmt: skip

PERSON = Column(
    "user", "Person", links=(TO_PERSON,), mappings=words({"unknown": ("not known", BAD)}), look="text", steps=((None, "text"),)
)  # fmt: skip
WAY = Column("way", "Way", look="text", mappings=own_names(WAYS), steps=((None, QUIET),), width=120)

who = rows(
    About(
        5, "Every GPU",
        "One row for each GPU, and one more for each further person on it; free ones first. Utilization is the card's, memory and idle share are the"
        " person's. Idle share: of the time they held it in the last half hour, the part in which it did nothing.",
        "none", "No GPU is watched: is labq-exporter on the nodes, and Prometheus asking it?",
    ),
    [
        Query(promql.with_model(f"{promql.by_gpu(promql.holders('labq_gpu_holder_info'), STATE)} or on (node, gpu) {STATE}")),
        Query(promql.with_model(f"{promql.holders('labq_gpu_holder_start_time_seconds', how='min')} * 1000")),
        Query(promql.with_model(promql.by_gpu(
            promql.holders("labq_gpu_holder_info"), f"max by (node, gpu) (labq_gpu_utilization_ratio{{{NODE}}})"))),
        Query(promql.with_model(promql.holders("labq_gpu_holder_memory_used_bytes", how="sum"))),
        Query(promql.with_model(
            f"{promql.holders('labq_gpu_holder_info')} * on (node, gpu, user) group_left () {promql.idle_share('30m')}")),
    ],
    [
        Column("A", "State", look="cell", mappings=gpu_states(), steps=((None, QUIET),), width=140),
        Column("node", "Node", links=(TO_NODE,), width=120),
        Column("gpu", "GPU", width=60),
        Column("model", "Model"),
        PERSON,
        Column("what", "What"),
        WAY,
        Column("B", "Since", "dateTimeFromNow", width=130),
        Column("C", "Utilization", "percentunit", "gauge", ((None, WATCH), (0.05, "blue")), decimals=0),
        Column("D", "Memory", "bytes", width=100, decimals=1),
        Column("E", "Idle share", "percentunit", "text", ((None, GOOD), (0.5, WATCH), (0.95, BAD)), width=100, decimals=0),
        Column("job_id", "Job", links=(TO_JOB,), width=80),
    ],
    sort=(("State", False), ("Node", False), ("GPU", False)),
)  # fmt: skip

day = timeline(
    About(
        6, "The last 24 hours",
        "One row for each GPU. A gap: its exporter said nothing. This shows 24 hours whatever the page's time is.",
        "none", "Nothing was seen in 24 hours", mappings=gpu_states(),
    ),
    Query(STATE, "{{node}} {{gpu}}"),
    since="24h",
)  # fmt: skip

held = bars(
    About(
        7, "GPUs held, by person",
        "How many GPUs each person holds (mean of five minutes; a shared GPU counts a part for each).",
        "none", "Nobody holds a GPU", links=(("This person's GPUs", f"/d/{frame.MY_JOBS}?var-user=${{__field.labels.user}}"),),
    ),
    Query(f"sort_desc(sum by (user) (rate(labq_gpu_user_held_seconds_total{{{NODE}}}[5m])) > 0.01)", "{{user}}"),
)  # fmt: skip

FOREIGN = NODE + ', job_id=""'
_SAME = "node, gpu, user, what"
foreign = rows(
    About(
        8, "Who is outside the queue",
        "Everybody who holds a GPU without a job: what it is, how that is known (the rule), since when, and how much memory it takes.",
        "none", "Nobody: everybody uses the queue",
    ),
    [
        Query(f"max by ({_SAME}, source) ({promql.holder('labq_gpu_holder_info', FOREIGN)})"),
        Query(f"min by ({_SAME}) ({promql.holder('labq_gpu_holder_start_time_seconds', FOREIGN)}) * 1000"),
        Query(f"sum by ({_SAME}) ({promql.holder('labq_gpu_holder_memory_used_bytes', FOREIGN)})"),
    ],
    [
        PERSON,
        Column("node", "Node", width=100),
        Column("gpu", "GPU", width=60),
        Column("what", "What"),
        Column("source", "Known by", width=90),
        Column("B", "Since", "dateTimeFromNow", width=110),
        Column("C", "Memory", "bytes", width=90, decimals=1),
    ],
    sort=(("Person", False),),
)  # fmt: skip

help_ = note(9, "What now?", "How to read this page, and what to type.", HELP)

PAGE = frame.Page(
    uid=frame.NOW,
    question="Who uses which GPU now, and which are free?",
    rows=[
        frame.Row(4, [(5, free), (11, others), (4, outside), (4, nobodys)]),
        frame.Row(13, [(24, who)]),
        frame.Row(10, [(24, day)]),
        frame.Row(8, [(6, held), (12, foreign), (6, help_)]),
    ],
    variables=[frame.node()],
    refresh="30s",
)
