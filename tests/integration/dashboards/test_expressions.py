"""Every expression of every dashboard on a real Prometheus: in a calm lab, and in one with all kinds of trouble."""

import re
from collections import Counter
from collections.abc import Mapping

import pytest
from support.grafana import ALL, Asked, asked, boards, choices, filled
from support.watched_lab import GPUS, JOB, Lab
from support.watched_pages import GOLDEN, LOOP

from labq_scheduler.metrics.table import TABLE

QUERIES = [pytest.param(each, id=f"{each.dashboard}/{each.place}") for each in asked()]
NOBODY, HEALTHY, QUIET = "nobody is outside the queue", "no card or disk is ill", "no job begins or ends"
STATES = "a GPU that never was in a state has no seconds of it"
#: What may show nothing, why, and what feeds it in these tests. Everything else always returns a series.
EMPTY_WHEN_CALM: Mapping[tuple[str, str], tuple[str, str]] = {
    ("labq-nodes", "Alerts that fire/A"): (HEALTHY, "a rule of this test, on the lost card"),
    ("labq-nodes", "Cards that slowed down/A"): (HEALTHY, "`throttle` of the fake driver"),
    ("labq-nodes", "Fullest disks/C"): (
        "the disk does not fill up",
        "a page of node_exporter with ever less room",
    ),
    ("labq-nodes", "Memory errors of cards/A"): (HEALTHY, "`ecc` of the fake driver"),
    ("labq-nodes", "Memory errors of cards/B"): (HEALTHY, "`ecc` of the fake driver"),
    ("labq-nodes", "Memory errors of cards/C"): (HEALTHY, "`remap` of the fake driver"),
    ("labq-nodes", "Memory errors of cards/D"): (HEALTHY, "`remap` of the fake driver"),
    ("labq-nodes", "Xid events/A"): (HEALTHY, "`xid` of the fake driver"),
    ("labq-nodes", "Xid events/B"): (HEALTHY, "`xid` of the fake driver"),
    ("labq-now", "Who is outside the queue/A"): (NOBODY, "bob's process"),
    ("labq-now", "Who is outside the queue/B"): (NOBODY, "bob's process"),
    ("labq-now", "Who is outside the queue/C"): (NOBODY, "bob's process"),
    ("labq-queue", "How jobs ended/A"): (QUIET, "counters of the server's page that go on"),
    ("labq-queue", "Jobs that began and ended/B"): (QUIET, "counters of the server's page that go on"),
    ("labq-queue", "Wait of an hour's jobs/A"): (QUIET, "counters of the server's page that go on"),
    ("labq-queue", "Wait of an hour's jobs/B"): (QUIET, "counters of the server's page that go on"),
    ("labq-queue", "Wait until a node was given/A"): (QUIET, "counters of the server's page that go on"),
    ("labq-queue", "Wait until a node was given/B"): (QUIET, "counters of the server's page that go on"),
    ("labq-queue", "Waiting with nothing running/A"): ("nobody waits", "bob's jobs on the server's page"),
    ("labq-queue", "Waiting, by person/A"): ("nobody waits", "the jobs of both on the server's page"),
    ("labq-queue", "Waiting with nothing running/B"): ("nobody waits", "bob's jobs on the server's page"),
    ("labq-usage", "Groups/C"): ("no GPU is held for nothing", "bob's process, which does nothing"),
    ("labq-usage", "Groups/D"): (NOBODY, "bob's process"),
    ("labq-usage", "In the queue, and outside/B"): (NOBODY, "bob's process"),
    ("labq-usage", "People/C"): ("no GPU is held for nothing", "bob's process, which does nothing"),
    ("labq-usage", "People/D"): (NOBODY, "bob's process"),
    ("labq-usage", "What the GPUs did/B"): (STATES, "bob's process, which does nothing"),
    ("labq-usage", "What the GPUs did/C"): (STATES, "a lease of carol's without a process"),
    ("labq-usage", "What the GPUs did/D"): (STATES, "`lost` of the fake driver"),
}


def place(query: Asked) -> tuple[str, str]:
    return query.dashboard, query.place


def ask(lab: Lab, query: Asked, chosen: Mapping[str, str] = ALL) -> list[dict[str, object]]:
    return lab.series(filled(query.expr, chosen, step="1s"))


def only(dashboard: str, title: str) -> list[Asked]:
    """The queries of a panel."""
    return [each for each in asked() if each.dashboard == dashboard and each.place.rsplit("/", 1)[0] == title]


def number(series: dict[str, object]) -> float:
    value = series["value"]
    assert isinstance(value, list)
    return float(value[1])


def labels(series: dict[str, object]) -> dict[str, str]:
    found = series["metric"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_an_expression_returns_series_in_a_lab_where_all_of_it_happens(lab: Lab, query: Asked) -> None:
    assert ask(lab, query)


def test_in_a_calm_lab_only_what_is_listed_is_empty(lab: Lab) -> None:
    empty = {place(query) for query, series in lab.calm.items() if not series}
    assert empty == set(EMPTY_WHEN_CALM)


@pytest.mark.parametrize("query", QUERIES)
def test_an_expression_is_understood_whatever_is_chosen(lab: Lab, query: Asked) -> None:
    alice, bob = lab.people.alice.name, lab.people.bob.name
    ask(lab, query, {"node": "n1", "user": alice, "group": "vision", "job": JOB})
    ask(lab, query, {"node": "(n1|n2)", "user": f"({alice}|{bob})", "group": "(vision|none)", "job": ""})


@pytest.mark.parametrize("query", QUERIES)
def test_an_expression_can_be_drawn_over_the_time_in_which_people_come_and_go(lab: Lab, query: Asked) -> None:
    # A join that is ambiguous at one moment fails as a whole: so it is asked for all moments since the beginning.
    assert lab.over_time(filled(query.expr, step="1s"), 60)


@pytest.mark.parametrize(("dashboard", "name", "series", "label"), list(choices()))
def test_a_variable_has_something_to_choose(
    lab: Lab, dashboard: str, name: str, series: str, label: str
) -> None:
    wanted = {
        "node": {"n1"}, "group": {"vision"}, "job": {JOB, "4"},
        "user": {lab.people.alice.name, lab.people.bob.name},
    }[name]  # fmt: skip
    assert wanted <= lab.label_values(label, filled(series)), f"{dashboard} ${name}"


def test_the_canned_page_says_nothing_that_a_server_does_not() -> None:
    table = {row.name for row in TABLE}
    for line in (GOLDEN.read_text() + LOOP).splitlines():
        name = line.split("{")[0].split(" ")[0]
        if name and name != "#":
            assert re.sub(r"_(bucket|count|sum)$", "", name) in table, line


def test_the_home_page_counts_each_gpu_once(lab: Lab) -> None:
    (free,) = only("labq-now", "Free now")
    assert [number(each) for each in ask(lab, free)] == [1]
    counts = [number(*ask(lab, query)) for query in only("labq-now", "The other GPUs")]
    assert counts == [1, 2, 1, 1], "busy, held without use, reserved, lost"
    others = [only("labq-now", title)[0] for title in ("Outside the queue", "Owner not known")]
    assert [number(*ask(lab, query)) for query in others] == [2, 1]


def test_in_a_calm_lab_the_home_page_says_none_not_nothing(lab: Lab) -> None:
    for title in ("Outside the queue", "Owner not known"):
        assert [number(each) for each in lab.calm[only("labq-now", title)[0]]] == [0]


def test_every_gpu_has_one_row_and_its_values_find_it(lab: Lab) -> None:
    first, *rest = only("labq-now", "Every GPU")
    rows = [labels(each) for each in ask(lab, first)]
    assert sorted(row["gpu"] for row in rows) == [str(gpu) for gpu in range(GPUS)]
    people = lab.people
    assert {row["gpu"]: (row.get("user"), row.get("what"), row.get("way")) for row in rows} == {
        "0": (people.alice.name, f"job {JOB}", "in the queue"),
        "1": (people.bob.name, "process on the machine", "outside"),
        "2": ("unknown", "process on the machine", "outside"),
        "3": (None, None, None),
        "4": (None, None, None),
        "5": (people.carol.name, "job 4", "in the queue"),
    }
    assert {row["gpu"]: code for row, code in zip(rows, map(number, ask(lab, first)), strict=True)} == {
        "0": 3, "1": 2, "2": 2, "3": 0, "4": 4, "5": 1,
    }  # fmt: skip
    for query in rest:
        for each in ask(lab, query):
            assert labels(each) in rows, f"{query.place} makes a row of its own"


TABLES = [
    (name, panel["title"])
    for name, board in boards().items()
    for panel in board["panels"]
    if panel["type"] == "table"
]


@pytest.mark.parametrize(("dashboard", "title"), TABLES)
def test_every_value_of_a_table_finds_a_row_of_its_first_query(lab: Lab, dashboard: str, title: str) -> None:
    first, *rest = only(dashboard, title)
    rows = [set(labels(each).items()) for each in ask(lab, first)]
    for query in rest:
        for each in ask(lab, query):
            one = set(labels(each).items())
            assert any(one <= row or row <= one for row in rows), (
                f"{query.place} makes a row of its own: {one}"
            )


def test_a_timeline_has_one_row_for_each_gpu_though_states_change(lab: Lab) -> None:
    (query,) = only("labq-now", "The last 24 hours")
    found = lab.over_time(filled(query.expr))
    assert Counter(each["metric"]["gpu"] for each in found) == {str(gpu): 1 for gpu in range(GPUS)}
    lost = next(each for each in found if each["metric"]["gpu"] == "4")
    assert [value for _, value in lost["values"]][-1] == "4"
    assert {value for _, value in lost["values"]} > {"4"}, "it was free before"


def test_usage_keeps_people_whom_the_server_does_not_know_and_obeys_the_choice_of_groups(lab: Lab) -> None:
    held = only("labq-usage", "People")[0]
    alice, bob = lab.people.alice.name, lab.people.bob.name

    def shown(**chosen: str) -> set[tuple[str, str]]:
        return {(labels(each)["user"], labels(each)["group"]) for each in ask(lab, held, {**ALL, **chosen})}

    everybody = {(alice, "vision"), (bob, "none"), ("unknown", "none"), (lab.people.carol.name, "none")}
    assert shown() == everybody
    assert shown(group="vision") == {(alice, "vision")}
    assert shown(group="none") == everybody - {(alice, "vision")}
    assert shown(group="(vision|none)", user=f"({alice}|{bob})") == {(alice, "vision"), (bob, "none")}


def test_groups_add_up_to_the_total(lab: Lab) -> None:
    total, *_ = only("labq-usage", "GPU-hours in this time")
    groups, *_ = only("labq-usage", "Groups")
    moment = f" @ {lab.newest():.3f}"

    def at_once(query: Asked) -> float:
        expr = filled(query.expr, step="1s").replace("[5m]", f"[5m]{moment}")
        return sum(number(each) for each in lab.series(expr))

    assert at_once(groups) == pytest.approx(at_once(total), rel=1e-6)
    assert at_once(total) > 0


def test_my_jobs_follows_one_job_or_everything_of_a_person(lab: Lab) -> None:
    (utilization,) = only("labq-my-jobs", "Utilization")
    alice, bob = lab.people.alice.name, lab.people.bob.name

    def gpus(**chosen: str) -> list[str]:
        return sorted(labels(each)["gpu"] for each in ask(lab, utilization, {**ALL, **chosen}))

    assert gpus(user=alice) == gpus(job=JOB) == ["0"]
    assert gpus(user=bob) == ["1"]
    assert gpus(user=bob, job=JOB) == []
    assert gpus(user=bob, job="") == ["1"], "what is outside the queue has no job"


def test_who_waits_with_nothing_running_is_not_who_has_a_job_that_runs(lab: Lab) -> None:
    starved = only("labq-queue", "Waiting with nothing running")[0]
    (one,) = ask(lab, starved)
    assert labels(one)["user"] == lab.people.bob.name
    assert 0 < number(one) < 300
