"""`labq` as a process: what it prints where, its exit status, terminals, Ctrl-C, closed pipes."""

import json
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from integration.cli.conftest import LABQ, RunLabq
from integration.cli.fake import ENDED, FakeServer, Reply, as_json, error, job, stream

from labq.clock import now, rfc3339


def live(server: FakeServer, *events: tuple[str, str, Any]) -> None:
    server.add("GET", "/v1/jobs/12/logs/follow", lambda handler: stream(handler, *events))


@pytest.mark.parametrize(("state", "status"), [("succeeded", 0), ("failed", 1), ("cancelled", 2)])
def test_following_ends_as_the_job_does(
    submitting: FakeServer, labq_env: Mapping[str, str], state: str, status: int
) -> None:
    raw = b"50%\r100%\n\xff\xfe" + b"x" * 100_000 + b"\n"
    live(
        submitting, ("state", "", {"id": "12", "state": "queued", "why": "n1 is full"}), ("build", "", b"Step 1/1\n"),
        ("state", "", {"id": "12", "state": "running", "node": "n1"}), ("log", "1:9", raw),
        ("end", "", job(12, state=state, verdict="So it ended.")),
    )  # fmt: skip
    done = subprocess.run(
        [str(LABQ), "submit", "--image", "x", "-f"],
        env=dict(labq_env),
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == status
    assert done.stdout == b"job 12 queued (x)\n" + raw
    told = done.stderr.decode()
    for line in (
        "job 12 waits: n1 is full\n",
        "  | Step 1/1\n",
        "job 12 is running on n1\n",
        "job 12: So it ended.\n",
    ):
        assert line in told


def test_ctrl_c_ends_the_following_only(submitting: FakeServer, labq_env: Mapping[str, str]) -> None:
    never = threading.Event()

    def hang(handler: Any) -> None:
        stream(handler, ("log", "1:1", b"begun\n"))
        handler.close_connection = False
        never.wait(20)

    submitting.add("GET", "/v1/jobs/12/logs/follow", hang)
    with subprocess.Popen(
        [str(LABQ), "logs", "-f", "12"], env=dict(labq_env), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    never.set()
    assert process.returncode == 130
    assert out == b""
    assert b"job 12 goes on" in err
    assert b"labq cancel 12" in err
    assert b"Traceback" not in err
    assert not [path for method, path, _, _ in submitting.requests if "cancel" in path]


@pytest.fixture
def listing(server: FakeServer) -> FakeServer:
    jobs = [job(n) for n in range(1, 4000)]
    server.add("GET", "/v1/jobs", lambda r: as_json(200, jobs, **{"X-Total-Count": "9999"}))
    return server


def test_ls_prints_a_table_ids_or_json(listing: FakeServer, labq: RunLabq) -> None:
    done = labq("ls", "--all", "--state", "running", COLUMNS="90")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].split() == [
        "ID",
        "NAME",
        "STATE",
        "OWNER",
        "GPUS",
        "NODE",
        "WAITED",
        "RAN",
    ]
    assert "1 (sim)" in done.stdout
    assert done.stdout.endswith("6000 more: the same with --limit 0\n")
    assert "\x1b" not in done.stdout
    assert listing.requests[-1][1] == "/v1/jobs?owner=*&state=running"
    assert labq("ls", "--ids").stdout.split()[:2] == ["1", "2"]
    assert json.loads(labq("ls", "--json").stdout)[0] == job(1)


def test_no_jobs_is_told_apart_from_the_list(server: FakeServer, labq: RunLabq) -> None:
    server.add_json("GET", "/v1/jobs", [])
    done = labq("ls")
    assert (done.stdout, done.returncode) == ("", 0)
    assert "labq ls --all" in done.stderr
    assert labq("ls", "--json").stdout == "[]\n"


def test_a_closed_pipe_is_quiet(listing: FakeServer, labq_env: Mapping[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {LABQ} ls | head -n 1; echo ${{PIPESTATUS[0]}}"],
        env=dict(labq_env), capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines()[1] in {"141", "0"}


def test_a_full_disk_behind_stdout_is_told(listing: FakeServer, labq_env: Mapping[str, str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [str(LABQ), "ls"],
            env=dict(labq_env),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=20,
            check=False,
        )
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("states", "status"),
    [(["succeeded"], 0), (["failed"], 1), (["cancelled"], 2), (["succeeded", "cancelled", "failed"], 1)],
)
def test_wait_returns_how_they_ended(
    server: FakeServer, labq: RunLabq, states: list[str], status: int
) -> None:
    for number, state in enumerate(states, 1):
        server.add_json("GET", f"/v1/jobs/{number}", job(number))
        server.add_json("GET", f"/v1/jobs/{number}/wait", job(number, state=state, verdict=f"It {state}."))
    done = labq("wait", *[str(n + 1) for n in range(len(states))])
    assert done.returncode == status
    assert done.stdout.splitlines() == [f"job {n}: It {state}." for n, state in enumerate(states, 1)]


def test_wait_gives_up_with_124_and_takes_arrays(server: FakeServer, labq: RunLabq) -> None:
    server.add_json("GET", "/v1/jobs/1", job(1))
    server.add_json("GET", "/v1/jobs/1/wait", job(1), 202)
    done = labq("wait", "1", "--timeout", "1s")
    assert done.returncode == 124
    assert "still running" in done.stderr
    tasks = [job(0, id="5.0", state="succeeded", verdict="Ok."), job(0, id="5.1", **ENDED)]
    server.add_json("GET", "/v1/jobs/5", {"id": "5", "array": True, "counts": {"failed": 1}, "jobs": tasks})
    assert labq("wait", "5").returncode == 1
    assert "array 5: 2 tasks: 1 failed" in labq("show", "5").stdout


def test_show_why_cancel_note_print_what_the_api_says(server: FakeServer, labq: RunLabq) -> None:
    full = job(3, **ENDED) | {
        "attempts": [],
        "image": {},
        "spec": {"image": "x"},
        "cpus": 1.0,
        "memory": 2**30,
        "stop": None,
    }
    server.add_json("GET", "/v1/jobs/3", full)
    assert labq("show", "3").stdout.startswith(
        "job 3 (実験3): failed (exit 3)\n  Failed: exit code 3 after 5s.\n"
    )
    assert json.loads(labq("show", "3", "--json").stdout) == full
    server.add_json("GET", "/v1/jobs/3/why", {"id": "3", "state": "queued", "why": "n1 is full"})
    assert labq("why", "3").stdout == "n1 is full\n"
    server.add_json("GET", "/v1/jobs/5/why", {"id": "5.1", "state": "queued", "why": "n1 is full"})
    assert labq("why", "5").stdout == "job 5.1: n1 is full\n"
    told = [{"text": "1 × 24GB or more", "flag": "--gpus 24GB+", "start": None, "node": "n2"}]
    more = {"estimate": None, "starts_by": None, "sooner": told}
    server.add_json("GET", "/v1/jobs/3/why", {"id": "3", "state": "queued", "why": "n1 is full", **more})
    assert labq("why", "3").stdout == (
        "n1 is full\nsooner would be: 1 × 24GB or more (--gpus 24GB+): now on n2\n"
    )
    assert json.loads(labq("why", "3", "--json").stdout)["sooner"] == told
    server.add_json("POST", r"/v1/jobs/\d+/cancel", {"cancelled": ["3"], "stopping": ["4"], "already": []})
    assert labq("cancel", "3", "--grace", "5s").stdout.splitlines()[0] == "job 3 cancelled"
    assert server.bodies("POST", "/v1/jobs/3/cancel") == [{"grace": "5s"}]
    server.add_json("PUT", "/v1/jobs/3/note", {})
    assert labq("note", "3", "too", "high").returncode == 0
    assert server.bodies("PUT", "/v1/jobs/3/note") == [{"note": "too high"}]


def test_each_of_several_ids_is_tried(server: FakeServer, labq: RunLabq) -> None:
    server.add("POST", r"/v1/jobs/9999/cancel", lambda r: error(404, "not_found", "there is no job 9999"))
    server.add_json("POST", "/v1/jobs/66/cancel", {"cancelled": ["66"], "stopping": [], "already": []})
    server.add("GET", "/v1/jobs/9999", lambda r: error(404, "not_found", "there is no job 9999"))
    server.add_json("GET", "/v1/jobs/66", job(66, state="cancelled", verdict="Cancelled."))
    for ids in (["66", "9999"], ["9999", "66"]):
        done = labq("cancel", *ids)
        assert (done.returncode, done.stdout) == (1, "job 66 cancelled\n")
        assert "there is no job 9999" in done.stderr
        done = labq("wait", *ids)
        assert (done.returncode, done.stdout) == (66, "job 66: Cancelled.\n")
        assert "there is no job 9999" in done.stderr
    assert labq("wait", "9999").returncode == 66


def test_rerun_sends_only_what_changes(submitting: FakeServer, labq: RunLabq) -> None:
    spec = {"image": "x", "env": {"A": "1"}, "secrets": ["KEY"]}
    submitting.add_json("GET", "/v1/jobs/3", job(3) | {"spec": spec})
    submitting.add_json(
        "POST", "/v1/jobs/3/rerun", {"id": "13", "state": "queued", "name": "x", "warnings": []}, 201
    )
    done = labq("rerun", "3", "--env", "B=2", "--time", "8h", "--", "true", KEY="v")
    assert done.stdout == "job 13 queued (x)\n", done.stderr
    assert submitting.bodies("POST", "/v1/jobs/3/rerun") == [
        {"changes": {"env": {"A": "1", "B": "2"}, "time": "8h", "command": ["true"]}, "secrets": {"KEY": "v"}}
    ]
    done = labq("rerun", "3")
    assert (done.returncode, "'KEY'" in done.stderr) == (2, True)


def test_logs_pass_bytes_unchanged(server: FakeServer, labq_env: Mapping[str, str]) -> None:
    raw = b"\xff\x00\r\n" + b"y" * 300_000
    server.add("GET", "/v1/jobs/3/logs", lambda r: (200, {}, raw))
    done = subprocess.run(
        [str(LABQ), "logs", "3", "--tail", "5", "-t", "--stderr"],
        env=dict(labq_env),
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.stdout == raw
    assert server.requests[-1][1] == "/v1/jobs/3/logs?tail=5&timestamps=1&stream=stderr"


def test_admin_verbs(server: FakeServer, labq: RunLabq) -> None:
    server.add_json("GET", "/v1/users", [{"name": "hiro", "uid": 1, "gid": 2, "admin": True}])
    server.add_json("PUT", "/v1/users/hiro", {})
    server.add_json("POST", "/v1/users/hiro/tokens", {"token": "labq_new"}, 201)
    server.add("DELETE", "/v1/users/hiro", lambda r: (204, {}, b""))
    server.add_json("POST", "/v1/nodes/n1/drain", {})
    server.add_json("POST", "/v1/nodes/n1/resume", {})
    assert "hiro  1    2    admin" in labq("user", "ls").stdout
    assert labq("user", "add", "hiro", "--uid", "1", "--gid", "2").returncode == 0
    assert server.bodies("PUT", "/v1/users/hiro") == [{"uid": 1, "gid": 2, "admin": False}]
    assert labq("user", "token", "hiro").stdout == "labq_new\n"
    assert labq("user", "rm", "hiro").returncode == 0
    assert labq("drain", "n1", "new", "fan").returncode == 0
    assert server.bodies("POST", "/v1/nodes/n1/drain") == [{"reason": "new fan"}]
    assert labq("resume", "n1").returncode == 0
    server.add("DELETE", "/v1/nodes/n1", lambda r: (204, {}, b""))
    assert labq("nodes", "--remove", "n1").stdout.startswith("node n1 is forgotten")


def test_doctor_says_ok_or_what_to_do(server: FakeServer, labq: RunLabq, tmp_path: Path) -> None:
    server.add_json(
        "GET", "/v1/doctor", [{"name": "disk", "ok": False, "what": "1 % left", "next": "free some"}]
    )
    (tmp_path / "c.toml").write_text('token = "x"\n')
    (tmp_path / "c.toml").chmod(0o644)
    done = labq("doctor", LABQ_CONFIG=str(tmp_path / "c.toml"))
    assert done.returncode == 1
    for part in (
        f"chmod 600 {tmp_path}/c.toml",
        "is ready",
        "you are hiro",
        "FAIL  disk: 1 % left",
        "next: free some",
    ):
        assert part in done.stdout
    findings = json.loads(labq("doctor", "--json").stdout)
    assert {"name", "ok", "what", "next"} == set(findings[0])
    away = labq("doctor", LABQ_SERVER="http://127.0.0.1:9")
    assert (away.returncode, "labq up" in away.stdout) == (1, True)


@pytest.mark.parametrize(
    ("ahead", "said"), [(0, "ok    clock: within 2 s"), (90, "FAIL  clock: "), (-90, "FAIL  clock: ")]
)
def test_doctor_compares_the_clocks(server: FakeServer, labq: RunLabq, ahead: float, said: str) -> None:
    server.add("GET", "/readyz", lambda r: as_json(200, {"ok": True, "now": rfc3339(now() - ahead)}))
    server.add_json("GET", "/v1/doctor", [])
    done = labq("doctor")
    assert said in done.stdout
    assert ("timedatectl" in done.stdout) == (ahead != 0)
    if ahead:
        assert f"is {90} s {'ahead of' if ahead > 0 else 'behind'} the server's" in done.stdout


def test_config_hides_the_token(labq: RunLabq) -> None:
    done = labq("config", "--all")
    assert "labq_secret" not in done.stdout
    assert "LABQ_SERVER" in done.stdout
    assert "node_grace" in done.stdout


def test_the_servers_words_reach_the_person(server: FakeServer, labq: RunLabq) -> None:
    def refuse(handler: Any) -> Reply:
        return error(401, "no_token", "nobody here knows this token", "ask an admin")

    server.add("GET", "/v1/jobs", refuse)
    done = labq("ls")
    assert (done.returncode, done.stderr) == (
        3,
        "error: nobody here knows this token\n  next: ask an admin\n",
    )
