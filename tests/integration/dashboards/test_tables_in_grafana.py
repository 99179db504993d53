"""The tables as Grafana's own code makes them of what Prometheus answers: rows, words, titles. Without Grafana itself.

Not part of `make test`, since it needs Node and some hundred packages of npm:

    mkdir /tmp/grafana && cd /tmp/grafana
    npm install --ignore-scripts --legacy-peer-deps @grafana/data@12.1.0 react@18 react-dom@18 rxjs@7 jsdom@22
    LABQ_GRAFANA_DATA=/tmp/grafana pytest tests/integration/dashboards/test_tables_in_grafana.py
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from support.grafana import boards, filled
from support.watched_lab import GPUS, JOB, Lab

PACKAGES = os.environ.get("LABQ_GRAFANA_DATA", "")
pytestmark = pytest.mark.skipif(not PACKAGES, reason="LABQ_GRAFANA_DATA names no folder with @grafana/data")
Tables = dict[str, list[list[str]]]


@pytest.fixture(scope="module")
def tables(lab: Lab) -> Tables:
    """Rows of every table; the first row is the titles of the columns."""
    asked = {
        f"{name}/{panel['title']}": {
            "panel": panel,
            "answers": {
                target["refId"]: lab.prometheus.query(filled(target["expr"], step="1s"))
                for target in panel["targets"]
            },
        }
        for name, board in boards().items()
        for panel in board["panels"]
        if panel["type"] == "table"
    }
    script = Path(__file__).with_name("tables.cjs")
    ran = subprocess.run(
        ["node", script, PACKAGES], input=json.dumps(asked), text=True, capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found: Tables = json.loads(ran.stdout)
    for title, rows in found.items():
        print(f"\n{title}", *(" | ".join(row) for row in rows), sep="\n")
    return found


def columns(tables: Tables, title: str, *names: str) -> list[tuple[str, ...]]:
    head, *rows = tables[title]
    return [tuple(row[head.index(name)] for name in names) for row in rows]


def test_the_home_page_has_one_row_for_each_gpu_in_words(lab: Lab, tables: Tables) -> None:
    people = lab.people
    rows = columns(
        tables, "labq-now/Every GPU", "GPU", "State", "Person", "What", "Way", "Memory", "Utilization"
    )
    assert len(rows) == GPUS
    assert sorted(rows) == [
        ("0", "busy", people.alice.name, f"job {JOB}", "in the queue", "4.0 GiB", "70%"),
        ("1", "held without use", people.bob.name, "process on the machine", "outside", "6.0 GiB", "0%"),
        ("2", "held without use", "not known", "process on the machine", "outside", "1.0 GiB", "0%"),
        ("3", "free", "–", "–", "–", "–", "–"),
        ("4", "lost", "–", "–", "–", "–", "–"),
        ("5", "reserved", people.carol.name, "job 4", "in the queue", "–", "0%"),
    ]
    since = columns(tables, "labq-now/Every GPU", "Since")
    assert all(when == "–" or when.endswith(" ago") for (when,) in since)


def test_other_tables_have_one_row_for_each_thing(lab: Lab, tables: Tables) -> None:
    alice, bob, carol = lab.people.alice.name, lab.people.bob.name, lab.people.carol.name
    people = columns(tables, "labq-usage/People", "Person", "Group", "Worked", "Charged")
    assert sorted(people) == sorted([
        (alice, "vision", "100%", "2.0 GPU-h"), (bob, "none", "0%", "2.0 GPU-h"), (carol, "none", "0%", "–"),
        ("unknown", "none", "0%", "–"),
    ])  # fmt: skip
    assert columns(tables, "labq-nodes/Nodes", "Node", "Takes jobs", "GPUs read", "of", "Driver") == [
        ("n1", "yes", "5", "6", "580.95.05")
    ]
    assert columns(tables, "labq-nodes/Xid events", "GPU", "Xid") == [("1", "79 fell off the bus")]
    assert columns(tables, "labq-nodes/Memory errors of cards", "GPU", "Uncorrected", "Remap failed") == [
        ("1", "2", "failed")
    ]
    assert columns(tables, "labq-queue/Waiting with nothing running", "Person", "Jobs waiting now") == [
        (bob, "2")
    ]


def test_every_table_has_the_columns_that_were_meant_in_their_order(tables: Tables) -> None:
    for name, board in boards().items():
        for panel in board["panels"]:
            if panel["type"] == "table":
                meant = [each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]]
                head, *rows = tables[f"{name}/{panel['title']}"]
                assert rows, panel["title"]
                assert head == [title for title in meant if title in head], panel["title"]
