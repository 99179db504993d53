"""The lab's rules on a real server: read, asked for, changed while it runs, and never half-applied."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from builders import make_node
from integration.scheduler_api.server_process import Server, error_of, name_of
from support.waiting import wait_for

from labq.clock import now
from labq_scheduler.policy.rules_of import default_texts

HALF_LIFE = default_texts()["fair-share.half-life"]
RULES = """
[weights]
share = 5

[fair-share]
half-life = "3d"

[caps]
gpus = 4

[classes]
urgent = ["carl"]

[wait]
bound = "3d"
"""


@pytest.fixture
def lab(own_server: Server) -> Server:
    """A whole server with two cards and rules of its own."""
    own_server.data.mkdir(parents=True)
    (own_server.data / "rules.toml").write_text(RULES)
    own_server.store.nodes.register(make_node("n1", gpus=8), now=now())
    own_server.start()
    return own_server


def rows(client: httpx.Client) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in client.get("/v1/rules").json()["rows"]}


def labq(server: Server, client: httpx.Client, *words: str) -> subprocess.CompletedProcess[str]:
    token = client.headers["Authorization"].removeprefix("Bearer ")
    env = {
        "PATH": os.environ["PATH"], "HOME": str(server.data), "LABQ_SERVER": server.url, "LABQ_TOKEN": token,
        "LABQ_DATA_DIR": str(server.data), "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "COLUMNS": "120",
    }  # fmt: skip
    command = [sys.executable, "-m", "labq", "admin", "rules", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)


def test_everybody_sees_by_which_rules_they_are_judged(lab: Server) -> None:
    found = lab.person().get("/v1/rules").json()
    assert (found["from"], found["problem"]) == ("file", None)
    assert found["file"] == str(lab.data / "rules.toml")
    shown = {row["key"]: row for row in found["rows"]}
    assert shown["fair-share.half-life"] == {
        "key": "fair-share.half-life", "value": '"3d"', "default": HALF_LIFE, "line": 6,
    }  # fmt: skip
    assert shown["weights.small"]["line"] is None
    assert shown["classes.urgent"]["default"] is None
    assert any("LABQ_MAX_TIME" in note for note in found["notes"])
    assert any("nobody here is called carl" in note for note in found["notes"])


def test_a_changed_file_is_in_force_within_seconds_and_a_bad_one_never(lab: Server) -> None:
    alice, file = lab.person(), lab.data / "rules.toml"
    file.write_text(RULES.replace("share = 5", "share = 6"))
    wait_for(lambda: rows(alice)["weights.share"]["value"] == "6", 10, "the new rules")
    file.write_text(RULES.replace("share = 5", "share = 7\nshre = 8"))
    wait_for(lambda: alice.get("/v1/rules").json()["problem"], 10, "the refusal")
    answer = alice.get("/v1/rules").json()
    assert "rules.toml:4: [weights] has no key" in answer["problem"]["what"]
    assert rows(alice)["weights.share"]["value"] == "6"
    finding = next(row for row in alice.get("/v1/doctor").json() if row["name"] == "rules")
    assert not finding["ok"]
    assert "rules.toml:4" in finding["what"]
    assert "labq_rules_file_refused 1.0" in alice.get("/metrics").text
    file.write_text(RULES.replace("share = 5", "share = -7\nshre = 8"))
    wait_for(lambda: "2 mistakes" in alice.get("/v1/rules").json()["problem"]["what"], 10, "both mistakes")
    finding = next(row for row in alice.get("/v1/doctor").json() if row["name"] == "rules")
    assert finding["what"].endswith(" has 2 mistakes")
    assert finding["next"].startswith("labq admin rules show lists them")
    file.write_text(RULES.replace("share = 5", "share = 7\nshre = 8"))
    wait_for(lambda: "2 mistakes" not in alice.get("/v1/rules").json()["problem"]["what"], 10, "the last one")
    lab.end()
    lab.start()
    answer = lab.person().get("/v1/rules").json()
    assert answer["from"] == "copy"
    assert "rules.toml:4" in answer["problem"]["what"]
    assert rows(lab.person())["weights.share"]["value"] == "6"
    assert "the last good rules" in lab.log.read_text()


def test_what_the_rules_forbid_is_refused_when_it_is_submitted(lab: Server) -> None:
    alice, admin = lab.person(), lab.person(admin=True)

    def answer(client: httpx.Client, **spec: str) -> httpx.Response:
        return client.post("/v1/jobs", json={"spec": {"image": "busybox:1", **spec}})

    assert answer(alice, gpus="4").status_code == 201
    too_many = answer(alice, gpus="5")
    assert too_many.status_code == 422
    assert f"allow {name_of(alice)} 4 GPUs at once" in error_of(too_many)["what"]
    urgent = answer(alice, priority="urgent")
    assert urgent.status_code == 403
    assert "the lab's rules keep it for carl, admins" in error_of(urgent)["what"]
    assert answer(admin, priority="urgent").status_code == 201
    assert answer(alice, priority="high").status_code == 201


def test_the_command_line_checks_shows_and_compares(lab: Server, tmp_path: Path) -> None:
    admin, alice = lab.person(admin=True), lab.person()
    shown = labq(lab, alice, "show")
    assert shown.returncode == 0, shown.stderr
    assert f"{lab.data}/rules.toml, in force since 20" in shown.stdout
    assert ["fair-share.half-life", '"3d"', "line", "6"] in [
        line.split() for line in shown.stdout.splitlines()
    ]
    default = labq(lab, alice, "show", "--default").stdout
    assert f"[fair-share]\n# half-life = {HALF_LIFE}\n" in default
    file = tmp_path / "new.toml"
    file.write_text(default.replace("# half-life", "half-life"))
    checked = labq(lab, admin, "check", str(file))
    assert (checked.returncode, checked.stdout) == (0, f"{file} is legal\n")
    changes = [line.split() for line in labq(lab, admin, "diff", str(file)).stdout.splitlines()]
    assert ["fair-share.half-life", '"3d"', HALF_LIFE] in changes
    assert ["classes.urgent", '["carl"]', "-"] in changes
    assert ["caps.gpus", "4", '"none"'] in changes
    assert labq(lab, admin, "diff").stdout.endswith("changes nothing: these rules are in force\n")
    refused = labq(lab, alice, "diff", str(file))
    assert refused.returncode == 3
    assert "admin" in refused.stderr


def test_a_file_is_checked_where_no_server_is(tmp_path: Path, lab: Server) -> None:
    alice = lab.person()
    lab.end()
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    checked = labq(lab, alice, "check", str(file))
    assert (checked.returncode, checked.stdout) == (0, f"{file} is legal\n")
    assert "its names were not compared with the lab's" in checked.stderr
    file.write_text(RULES + "[cap]\n")
    refused = labq(lab, alice, "check", str(file))
    assert refused.returncode == 2
    assert f'error: {file}:16: the file has no section "cap"' in refused.stderr
    assert "did you mean caps?" in refused.stderr


def test_mistakes_of_a_request_are_told(lab: Server) -> None:
    admin = lab.person(admin=True)
    assert "no text" in error_of(admin.post("/v1/rules:compare", json={}))["what"]
    answer = admin.post("/v1/rules:compare", json={"text": "[weights]\nx = 1", "name": "ours.toml"})
    assert answer.status_code == 422
    assert error_of(answer)["what"].startswith("ours.toml:2: ")
    assert lab.person().post("/v1/rules:compare", json={"text": ""}).status_code == 403
    assert admin.post("/v1/rules:compare", json={"text": "", "x": 1}).status_code == 422


def test_what_is_legal_and_perhaps_not_meant_is_noted(lab: Server) -> None:
    def notes(text: str) -> str:
        answer = lab.person(admin=True).post("/v1/rules:compare", json={"text": text})
        assert answer.status_code == 200, answer.text
        return "\n".join(answer.json()["notes"])

    bound = '[wait]\nbound = "3d"\n'
    assert "without LABQ_MAX_TIME a job may run for ever" in notes(bound)
    course = '[[reservation]]\nname = "course"\nfor = ["zoe"]\nfrom = 2000-01-01T00:00:00Z\nuntil = {}\n'
    said = notes(bound + course.format("2099-01-01T00:00:00Z"))
    assert "until the reservation course is over no job is told when it starts at the latest" in said
    assert "reservation.course.for: nobody here is called zoe" in said
    said = notes(bound + course.format("2000-02-01T00:00:00Z"))
    assert "at the latest" not in said
    assert "reservation.course: it has been over for" in said
    alice = lab.person()
    job = alice.post("/v1/jobs", json={"spec": {"image": "busybox:1", "gpus": "3"}}).json()["id"]
    wait_for(lambda: "caps: " in notes("[caps]\ngpus = 2\n"), 10, "the server to know of the job")
    assert notes("[caps]\ngpus = 2\n") == (
        f"caps: 1 job that waits could never start, as job {job}: the lab's rules allow {name_of(alice)} 2 GPUs at once"
    )
    assert notes("[caps]\ngpus = 3\n") == ""
