"""`labq provision` and its kin as a person uses them: through a real server and a real provisioner."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from integration.cli.test_terminal import Terminal
from integration.scheduler_api.server_process import Server
from support.provisioning import BIN, Lab
from support.redis import RedisServer
from support.waiting import wait_for

from labq.provision import RunState

Labq = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def admin_env(lab: Lab, redis_server: RedisServer, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of an admin of a lab with a server."""
    server = Server(redis_server, tmp_path / "data", "--only", "api")
    server.start()
    admin = server.person(admin=True)
    token = admin.headers["authorization"].removeprefix("Bearer ")
    env = {key: value for key, value in lab.env().items() if not key.startswith("LABQ_")}
    yield env | {
        "LABQ_CONFIG": "/dev/null",
        "LABQ_SERVER": server.url,
        "LABQ_TOKEN": token,
        "HOME": str(tmp_path),
    }
    server.close()


@pytest.fixture
def labq(admin_env: dict[str, str], tmp_path: Path) -> Labq:
    """Runs `labq` to its end."""

    def run(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "labq"), *argv], env=admin_env | env, cwd=tmp_path, capture_output=True, text=True, timeout=60,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip

    return run


def test_a_run_is_followed_to_its_table_and_listed_afterwards(labq: Labq, lab: Lab) -> None:
    done = labq("provision", "fine")
    assert done.returncode == 0, done.stderr
    assert "a  changed  Write a file" in done.stderr
    assert done.stdout.splitlines()[0].split() == [
        "HOST",
        "OK",
        "CHANGED",
        "FAILED",
        "UNREACHABLE",
        "SKIPPED",
        "TIME",
    ]
    assert [row.split()[:3] for row in done.stdout.splitlines()[1:3]] == [["a", "2", "1"], ["b", "2", "1"]]
    assert "run 1 succeeded after" in done.stdout
    failed = labq("provision", "fails", "--json")
    assert (failed.returncode, failed.stderr) == (1, "")
    assert json.loads(failed.stdout)["failures"][0]["host"] == "b"
    listed = labq("provision", "ls").stdout.splitlines()
    assert [row.split()[:3] for row in listed[1:]] == [
        ["1", "succeeded", "fine.yml"],
        ["2", "failed", "fails.yml"],
    ]
    shown = labq("provision", "show", "2").stdout
    assert "b: Ask for space\n" in shown
    assert "  next: make room on b" in shown


def test_what_there_is_not_is_refused_in_two_lines(labq: Labq) -> None:
    done = labq("provision", "fine", "--limit", "c")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(
        "error: the inventory has no host or group 'c'\n  next: hosts: a, b; groups: all, gpu_nodes, ungrouped\n"
    )
    assert (
        labq("provision", "show", "99").stderr == "error: there is no run '99'\n  next: labq provision ls\n"
    )
    assert "is one word too many" in labq("provision", "fine", "a").stderr


def test_a_diff_is_shown_and_a_check_says_that_it_changed_nothing(labq: Labq, lab: Lab) -> None:
    done = labq("provision", "fine", "--check", "--diff", "--limit", "a")
    assert "a  Write a file\n  | --- before" in done.stderr
    assert "  | +one\n  | +two\n" in done.stderr
    assert "nothing was changed (--check)" in done.stdout
    assert not list(lab.scratch.iterdir())


def test_a_detached_run_is_cancelled_and_its_end_says_what_may_be_going_on(labq: Labq, lab: Lab) -> None:
    assert labq("provision", "slow", "-d").stdout == "run 1 is queued; labq provision follow 1\n"
    lab.began("1", "Install something large")
    assert "run 1 is being cancelled" in labq("provision", "cancel", "1").stdout
    done = labq("provision", "follow", "1")
    assert done.returncode == 2
    assert "may still be going on" in done.stdout
    again = labq("provision", "cancel", "1")
    assert (again.returncode, again.stderr) == (
        1,
        "error: run 1 has been cancelled\n  next: labq provision show 1\n",
    )


def test_only_an_admin_may(labq: Labq, lab: Lab) -> None:
    from labq.store import Person

    lab.store.people.put(Person("ann", 1, 1))
    done = labq("provision", "fine", LABQ_TOKEN=lab.store.people.new_token("ann"))
    assert (done.returncode, done.stderr) == (3, "error: ann is no admin\n  next: ask an admin of this lab\n")


def test_a_node_is_added_and_removed(labq: Labq, lab: Lab) -> None:
    (lab.root / "inventory" / "host_vars").mkdir()
    (lab.root / "inventory" / "host_vars" / "c.yml").write_text("ansible_connection: local\n")
    done = labq("node", "add", "c", "--label", "rack=r1")
    assert done.returncode == 0, done.stderr
    assert (lab.scratch / "c.labels").read_text() == '{"rack": "r1"}\n'
    gone = labq("node", "remove", "c", "--dead")
    assert gone.returncode == 0, gone.stderr
    assert "c is out of the inventory" in gone.stdout
    assert (lab.scratch / "c.labels").exists()  # a dead machine is asked nothing
    assert "--label 'rack' is not legal" in labq("node", "add", "c", "--label", "rack").stderr
    assert "labq node remove takes no --user" in labq("node", "remove", "c", "--user", "x").stderr


def test_doctor_tells_each_requirement_of_a_node(labq: Labq) -> None:
    done = labq("doctor", "--node", "a")
    assert done.returncode == 1
    assert done.stdout == (
        "ok    one is one: met\n"
        "FAIL  two is one: two is not one; make it so\n"
        "        next: see to that on a, then look again: labq doctor --node a\n"
    )


def test_without_a_provisioner_it_says_so(labq: Labq, lab: Lab) -> None:
    lab.end(signal.SIGTERM)
    lab.store.connection.client.delete("labq:provision:alive")
    done = labq("provision", "fine")
    assert done.returncode == 69
    assert (
        "no labq-provisioner runs in this lab\n  next: on the control machine: systemctl start" in done.stderr
    )


def test_here_it_runs_without_a_server_and_waits_for_the_service_on_one_host(labq: Labq, lab: Lab) -> None:
    here = {
        "LABQ_LAB_DIR": str(lab.root),
        "LABQ_PLAYBOOKS_DIR": lab.env()["LABQ_PLAYBOOKS_DIR"],
        "LABQ_SERVER": "http://127.0.0.1:9",
    }
    done = labq("provision", "fine", "--here", "--limit", "a", **here)
    assert (done.returncode, done.stdout.splitlines()[1].split()[:3]) == (0, ["a", "2", "1"]), done.stderr
    assert labq("provision", "fine", "--here", "--tags", "x", **here).returncode == 2
    first = lab.ask("slow.yml", limit="a")
    lab.began(first, "Install something large")
    second = subprocess.Popen(
        [str(BIN / "labq"), "provision", "fine", "--here", "--limit", "a"], env=lab.env(**here), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert second.stderr is not None
    assert second.stderr.readline() == f"a is being worked on by run {first}; this one waits for that\n"
    (lab.scratch / "go").touch()
    out, _ = second.communicate(timeout=60)
    assert (second.returncode, "succeeded" in out) == (0, True)


def test_ctrl_c_asks_and_leaves_the_run_going(admin_env: dict[str, str], lab: Lab, tmp_path: Path) -> None:
    terminal = Terminal([str(BIN / "labq"), "provision", "slow", "--limit", "a"], admin_env, tmp_path)
    terminal.see("a  ok   0  changed   0  Install something large")
    terminal.process.send_signal(signal.SIGINT)
    terminal.see("[l]eave it running, [c]ancel it, or [g]o on following? [l]")
    terminal.press(b"g\n")
    wait_for(lambda: terminal.read().count("Install something large") > 1, 15, "the line of the host again")
    terminal.process.send_signal(signal.SIGINT)
    wait_for(lambda: terminal.read().count("[g]o on following?") == 2, 15, "the question again")
    terminal.press(b"\n")
    terminal.see("run 1 goes on; labq provision follow 1 · labq provision cancel 1")
    assert terminal.end() == 0
    assert lab.get("1").state is RunState.RUNNING
    (lab.scratch / "go").touch()
    assert lab.ended("1").state is RunState.SUCCEEDED
