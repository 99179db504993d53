"""Usage and accounting: who held GPUs for how long, and what for."""

from __future__ import annotations

from labq_dashboards import frame, promql
from labq_dashboards.palette import BAD, GOOD, GPU_SECONDS, OUTSIDE, QUEUE, WATCH, WAYS
from labq_dashboards.panels import About, Query, lines, note, number
from labq_dashboards.promql import NODE, PERSON
from labq_dashboards.tables import Column, rows

HELP = """\
This page is for **watching**: Prometheus forgets, and guesses between two looks. Hours that count come from the records:

`labq usage --by user --since 2026-11-01` · `labq usage --by group` · `--csv`

*Held*: a job, or a process with memory on the card; a shared GPU is split. *Worked*: of that, the time in which it computed.
*Outside*: without a job of the queue. More: `docs/howto/dashboards.md`, `labq usage --help`.
"""
HOURS = "suffix:GPU-h"
RATE = "[$__rate_interval]"


def share(part: str, by: str, of: str = "held") -> str:
    """Return the share of the hours that were one part, filtered by the chosen groups."""
    return f"{promql.grouped(promql.hours(part, 'user'), by)} / ({promql.grouped(promql.hours(of, 'user'), by)} > 0)"


def of_everybody(what: str, selector: str = "") -> str:
    """Return the hours of all chosen people and groups together."""
    return f"sum({promql.grouped(promql.hours(what, 'user', selector))})"


def per_second(what: str, by: str) -> str:
    """Return how many GPUs on average, by labels that must have `user`."""
    return f"sum by ({by}) (rate(labq_gpu_user_{what}_seconds_total{{{NODE}, {PERSON}}}{RATE}))"


total = number(
    About(
        1, "GPU-hours in this time",
        "What the chosen people and groups held; what of it worked, was held for nothing, and was outside the queue.",
        HOURS, "Nobody held a GPU in this time",
    ),
    Query(of_everybody("held"), "held"),
    Query(of_everybody("busy"), "worked"),
    Query(of_everybody("idle_held"), "held for nothing"),
    Query(of_everybody("held", 'scope="outside"') + f" or {of_everybody('held')} * 0", "outside the queue"),
    colors={"held": "text", "worked": "blue", "held for nothing": WATCH, "outside the queue": "yellow"},
    decimals=1,
)  # fmt: skip
work = number(
    About(
        2, "Of the held, worked",
        "Share of the held GPU-hours in which the GPU computed.",
        "percentunit", "Nobody held a GPU", steps=((None, BAD), (0.3, WATCH), (0.6, GOOD)),
    ),
    Query(f"{of_everybody('busy')} / ({of_everybody('held')} > 0)"),
    decimals=0,
)  # fmt: skip
official = note(3, "For watching; hours that count: labq usage", "Where the official hours come from.", HELP)


HOUR_COLUMNS = [
    Column("A", "Held", HOURS, decimals=1),
    Column("B", "Worked", "percentunit", "gauge", ((None, BAD), (0.3, WATCH), (0.6, GOOD)), decimals=0),
    Column("C", "Held for nothing", HOURS, decimals=1),
    Column("D", "Outside", HOURS, decimals=1),
]


def hour_queries(by: str) -> list[Query]:
    """Return the queries of HOUR_COLUMNS: only of those who held something, or rows would have only dashes."""
    return [
        Query(f"{promql.grouped(promql.hours('held', 'user'), by)} > 0"),
        Query(share("busy", by)),
        Query(f"{promql.grouped(promql.hours('idle_held', 'user'), by)} > 0"),
        Query(promql.grouped(promql.hours("held", "user", 'scope="outside"'), by) + " > 0"),
    ]


CHARGED = promql.grouped(f"max by (user) (labq_user_usage_charged_gpu_seconds{{{PERSON}}}) / 3600")
people = rows(
    About(
        4, "People",
        "GPU-hours of each person in this time. Charged: what fair share counts now (weighted, and halved with age); it decides who comes first.",
        "none", "Nobody held a GPU in this time",
    ),
    [*hour_queries("user, group"), Query(f"{CHARGED} and on (user) {promql.hours('held', 'user')} > 0")],
    [
        Column("user", "Person",
               links=(("This person's GPUs", f"/d/{frame.MY_JOBS}?var-user=${{__data.fields.Person}}&${{__url_time_range}}"),)),
        Column("group", "Group"),
        *HOUR_COLUMNS,
        Column("E", "Charged", HOURS, decimals=1),
    ],
    sort=(("Held", True),),
)  # fmt: skip
groups = rows(
    About(
        5, "Groups",
        "The same by group; people in no group, or unknown to the server, are in \"none\".",
        "none", "Nobody held a GPU in this time",
    ),
    hour_queries("group"),
    [Column("group", "Group"), *HOUR_COLUMNS],
    sort=(("Held", True),),
)  # fmt: skip
over_time = lines(
    About(
        6,
        "GPUs held, by person",
        "How many GPUs each person held; a shared one counts a part for each.",
        "none",
        "Nobody held a GPU",
    ),
    Query(promql.grouped(per_second("held", "user"), "user") + " > 0", "{{user}}"),
    stacked=True,
)
states = lines(
    About(
        7, "What the GPUs did",
        "All GPUs of the chosen nodes, by state: the height is how many were watched.",
        "none", "No GPU is watched",
    ),
    *(
        Query(f'sum(rate(labq_gpu_state_seconds_total{{{NODE}, state="{state}"}}{RATE}))', state)
        for state in ("busy", "held", "reserved", "lost", "free")
    ),
    stacked=True,
    colors=GPU_SECONDS,
)  # fmt: skip
ways = lines(
    About(8, "In the queue, and outside", "GPUs held by jobs of the queue, and without.", "none", "Nobody held a GPU"),
    *(
        Query(
            "sum(" + promql.grouped(
                f'sum by (user) (rate(labq_gpu_user_held_seconds_total{{{NODE}, {PERSON}, scope="{scope}"}}{RATE}))'
            ) + ")",
            name,
        )
        for scope, name in (("queue", QUEUE), ("outside", OUTSIDE))
    ),
    stacked=True,
    colors=WAYS,
)  # fmt: skip
processors = lines(
    About(
        9, "Processors, by person",
        "Cores that containers and logins of each person kept busy.",
        "suffix:cores", "No exporter reads processors here",
    ),
    Query(promql.grouped(f"sum by (user) (rate(labq_user_cpu_seconds_total{{{NODE}, {PERSON}}}{RATE}))", "user"), "{{user}}"),
    stacked=True,
)  # fmt: skip
memory = lines(
    About(
        10, "Memory, by person",
        "Memory of the machines that containers and logins of each person have.",
        "bytes", "No exporter reads memory here",
    ),
    Query(promql.grouped(f"sum by (user) (labq_user_memory_bytes{{{NODE}, {PERSON}}})", "user"), "{{user}}"),
    stacked=True,
)  # fmt: skip
energy = number(
    About(
        11,
        "Energy of the GPUs",
        "What the cards of the chosen nodes took in this time.",
        "kwatth",
        "No card says its energy",
    ),
    Query(f"sum(increase(labq_gpu_energy_joules_total{{{NODE}}}[$__range])) / 3.6e6"),
    decimals=1,
)

PAGE = frame.Page(
    uid=frame.USAGE,
    question="Who held how many GPU-hours, by person and group, and how many of them worked?",
    rows=[
        frame.Row(5, [(11, total), (3, work), (3, energy), (7, official)]),
        frame.Row(10, [(14, people), (10, groups)]),
        frame.Row(8, [(12, over_time), (12, states)]),
        frame.Row(7, [(8, ways), (8, processors), (8, memory)]),
    ],
    variables=[frame.node(), frame.group(), frame.user()],
    since="now-7d",
    refresh="5m",
)
