"""`labq submit` as a process: what is sent, what is printed, what is refused."""

import json
from pathlib import Path

import pytest
from integration.cli.conftest import RunLabq, project
from integration.cli.fake import FakeServer, Reply, error


def test_a_directory_is_sent_once_and_submitted(
    submitting: FakeServer, labq: RunLabq, tmp_path: Path
) -> None:
    project(tmp_path / "実験 dir", 'gpus = "2"\n[env]\nA = "1"\n', size=2_000_000)
    done = labq("submit", "実験 dir", "--time", "4h", "--env", "B=2", "--", "python", "train.py")
    assert (done.returncode, done.stdout) == (0, "job 12 queued (x)\n"), done.stderr
    for part in ("packing", "uploading 1.91MB", "warning: no node has registered yet", "labq logs -f 12"):
        assert part in done.stderr
    (sha,) = submitting.complete
    assert submitting.bodies("POST", "/v1/jobs") == [
        {"spec": {"gpus": "2", "env": {"A": "1", "B": "2"}, "time": "4h", "command": ["python", "train.py"],
                  "name": "実験 dir", "context": sha}}
    ]  # fmt: skip
    again = labq("submit", "実験 dir", "-q")
    assert (again.stdout, again.stderr) == ("12\n", "")
    assert len([1 for method, *_ in submitting.requests if method == "PUT"]) == 1


def test_json_is_the_api_body_and_nothing_else(submitting: FakeServer, labq: RunLabq, tmp_path: Path) -> None:
    project(tmp_path / "p", size=2_000_000)
    done = labq("submit", "p", "--json")
    assert json.loads(done.stdout)["id"] == "12"
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_dry_run_sends_nothing(submitting: FakeServer, labq: RunLabq, tmp_path: Path) -> None:
    project(tmp_path / "p")
    done = labq("submit", "p", "--dry-run")
    assert done.stdout == "it would be queued; nodes that can run it: n1, n2\n"
    assert {path for _, path, _, _ in submitting.requests} == {"/v1/jobs:check"}
    submitting.add_json("POST", "/v1/jobs:check", {"why": "no GPU matches", "fits": []})
    done = labq("submit", "p", "--dry-run")
    assert (done.returncode, done.stdout) == (2, "no node can run it: no GPU matches\n")


def test_a_dry_run_says_when_it_would_start(submitting: FakeServer, labq: RunLabq, tmp_path: Path) -> None:
    project(tmp_path / "p")
    at = "2000-01-03T12:00:00Z"
    estimate = {"early": at, "likely": at, "late": at, "node": "n2", "looked_until": None}
    more: dict[str, object] = {"estimate": estimate, "starts_by": None, "sooner": []}
    found: dict[str, object] = {"why": None, "fits": ["n2"], "warnings": [], "waits": "n2 is full", **more}
    submitting.add_json("POST", "/v1/jobs:check", found)
    said = labq("submit", "p", "--dry-run").stdout.splitlines()
    assert said[:2] == ["it would be queued; nodes that can run it: n2", "it would wait: n2 is full"]
    assert said[2].startswith("estimated start: 2000-01-0")
    assert said[2].endswith(", on n2")
    submitting.add_json("POST", "/v1/jobs:check", {**found, "waits": None})
    assert "it would start at once" in labq("submit", "p", "--dry-run").stdout
    assert json.loads(labq("submit", "p", "--dry-run", "--json").stdout)["estimate"] == estimate


def test_a_dry_run_says_what_the_rules_refuse(submitting: FakeServer, labq: RunLabq, tmp_path: Path) -> None:
    project(tmp_path / "p")
    found = {"why": "priority urgent is not for bob", "fits": ["n1"], "waits": None}
    submitting.add_json("POST", "/v1/jobs:check", found)
    done = labq("submit", "p", "--dry-run")
    assert (done.returncode, done.stdout) == (2, "it would be refused: priority urgent is not for bob\n")


def test_a_dry_run_of_an_array_says_that_it_is_of_the_first_task(
    submitting: FakeServer, labq: RunLabq, tmp_path: Path
) -> None:
    project(tmp_path / "p")
    said = labq("submit", "p", "--dry-run", "--array", "0-9:3").stdout.splitlines()
    assert said[1:] == ["of its 4 tasks this is the first:"]


def test_what_cannot_run_is_refused_before_the_upload(
    submitting: FakeServer, labq: RunLabq, tmp_path: Path
) -> None:
    submitting.add_json("POST", "/v1/jobs:check", {"why": "no GPU matches h100", "fits": []})
    submitting.add_json("GET", "/v1/nodes", [{"name": "n1"}])
    project(tmp_path / "p", "memory = '12zz'\n", size=2_000_000)
    done = labq("submit", "p", "--gpus", "h100")
    assert (done.returncode, "p/labq.toml: memory" in done.stderr) == (2, True), done.stderr
    done = labq("submit", "p", "--memory", "1GB", "--gpus", "h100")
    assert (done.returncode, "no GPU matches h100" in done.stderr) == (2, True), done.stderr
    assert not submitting.contexts


@pytest.mark.parametrize(
    "check",
    [
        error(404, "not_found", "there is no /v1/jobs:check"),
        error(500, "internal", "an error in the server"),
        (502, {}, b"<html>a proxy"),
        error(503, "unavailable", "the server has not read the lab's state"),
    ],
)
def test_a_server_that_cannot_say_whether_a_job_could_run_still_takes_it(
    submitting: FakeServer, labq: RunLabq, tmp_path: Path, check: Reply
) -> None:
    submitting.add("POST", r"/v1/jobs:check.*", lambda request: check)
    project(tmp_path / "p", size=2_000_000)
    done = labq("submit", "p", "-q")
    assert (done.returncode, done.stdout) == (0, "12\n"), done.stderr
    assert len(submitting.contexts) == 1
    assert labq("submit", "p", "--dry-run").returncode != 0  # there it is what was asked for


def test_before_an_upload_nobody_waits_for_an_estimate(
    submitting: FakeServer, labq: RunLabq, tmp_path: Path
) -> None:
    project(tmp_path / "p", size=2_000_000)
    labq("submit", "p", "-q")
    asked = [path for _, path, _, _ in submitting.requests if "jobs:check" in path]
    assert asked == ["/v1/jobs:check?estimate=no"]


def test_one_word_for_a_shell_is_warned_of(submitting: FakeServer, labq: RunLabq) -> None:
    done = labq("submit", "--image", "x", "--", "echo hi && ls")
    assert "to use a shell: -- sh -c 'echo hi && ls'" in done.stderr
    assert "shell" not in labq("submit", "--image", "x", "--", "sh", "-c", "echo hi && ls").stderr


def test_secrets_travel_apart_from_the_spec(submitting: FakeServer, labq: RunLabq, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n")
    done = labq("submit", "--image", "x", "--secret", "KEY", "--secret", "FILE=key", KEY="hidden")
    assert done.returncode == 0, done.stderr
    (body,) = submitting.bodies("POST", "/v1/jobs")
    assert body == {
        "spec": {"image": "x", "secrets": ["KEY", "FILE"], "name": "x"},
        "secrets": {"KEY": "hidden", "FILE": "from a file"},
    }
