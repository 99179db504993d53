"""`labq usage` and `labq user set` as processes: what is asked of the server, what is printed."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from integration.cli.conftest import RunLabq
from integration.cli.fake import FakeServer

HIRO: dict[str, Any] = {
    "key": "hiro", "jobs": 3, "allocated_gpu_hours": 12.5, "busy_gpu_hours": 10.0, "idle_gpu_hours": 2.5,
    "busy_known_gpu_hours": 12.5, "outside_gpu_hours": 1.25, "outside_busy_gpu_hours": 0.5, "charged_gpu_hours": 9.0,
}  # fmt: skip


def answer(*rows: dict[str, Any], by: str = "user") -> dict[str, Any]:
    total = {**HIRO, "key": None}
    since, until = "2026-11-13T00:00:00.000Z", "2026-11-20T00:00:00.000Z"
    return {"since": since, "until": until, "by": by, "rows": list(rows), "total": total}


def asked(server: FakeServer) -> str:
    return next(path for _, path, _, _ in reversed(server.requests) if path.startswith("/v1/usage"))


def test_a_table_csv_and_json_of_the_same_answer(server: FakeServer, labq: RunLabq) -> None:
    server.add_json("GET", "/v1/usage", answer(HIRO))
    text = labq("usage").stdout
    assert "hiro" in text
    assert "10.0 (80%)" in text
    assert asked(server) == "/v1/usage?by=user"
    written = list(csv.DictReader(io.StringIO(labq("usage", "--csv").stdout)))
    assert (written[0]["user"], written[0]["allocated_gpu_hours"]) == ("hiro", "12.5")
    assert json.loads(labq("usage", "--json").stdout) == answer(HIRO)


def test_window_and_person_are_asked_of_the_server(server: FakeServer, labq: RunLabq) -> None:
    server.add_json("GET", "/v1/usage", answer(HIRO, by="node"))
    done = labq("usage", "--by", "node", "--since", "30d", "--until", "2026-11-20T00:00:00+09:00", "--me")
    assert done.returncode == 0, done.stderr
    assert asked(server) == ("/v1/usage?by=node&since=30d&until=2026-11-20T00:00:00%2B09:00&user=hiro")


def test_nobody_used_anything(server: FakeServer, labq: RunLabq) -> None:
    server.add_json("GET", "/v1/usage", answer())
    done = labq("usage")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("nobody used a GPU from ")
    assert labq("usage", "--csv").stdout.startswith("user,since,until,jobs,")


@pytest.mark.parametrize(
    ("flags", "what", "then"),
    [
        (("--by", "persn"), "--by 'persn' is not known", "legal: user, group, node"),
        (("--csv", "--json"), "--csv and --json were both given", "choose one"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(
    server: FakeServer, labq: RunLabq, flags: tuple[str, ...], what: str, then: str
) -> None:
    done = labq("usage", *flags)
    assert done.returncode == 2
    assert what in done.stderr
    assert then in done.stderr
    assert server.requests == []


def test_set_changes_what_is_named_and_nothing_else(server: FakeServer, labq: RunLabq) -> None:
    server.add_json("PUT", "/v1/users/hiro", {})
    assert (
        labq("user", "set", "hiro", "--group", "vision", "--slack", "U012AB3CD").stdout == "hiro is changed\n"
    )
    assert labq("user", "set", "hiro", "--group", "").returncode == 0
    assert labq("user", "set", "hiro", "--admin", "--uid", "7").returncode == 0
    assert server.bodies("PUT", "/v1/users/hiro") == [
        {"group": "vision", "slack_id": "U012AB3CD"}, {"group": ""}, {"uid": 7, "admin": True},
    ]  # fmt: skip
    nothing = labq("user", "set", "hiro")
    assert nothing.returncode == 2
    assert "nothing is to be changed" in nothing.stderr


def test_groups_and_slack_ids_are_listed(server: FakeServer, labq: RunLabq) -> None:
    person = {"name": "hiro", "uid": 1, "gid": 2, "admin": False, "group": "vision", "slack_id": "U012AB3CD"}
    server.add_json("GET", "/v1/users", [person])
    assert labq("user", "ls").stdout.splitlines()[1].split() == ["hiro", "1", "2", "vision", "U012AB3CD"]
