"""What plays ask of nodes: one JSON line, the same answer however often."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import make_node
from integration.joining.conftest import Control, answer
from integration.scheduler_api.server_process import FakeAgent, Server, submit

from labq.clock import now


def test_a_drain_is_made_once_and_undone_only_by_whoever_made_it(server: Server, control: Control) -> None:
    server.store.nodes.register(make_node("n5", gpus=2), now=now())
    ours = ("--node-drain", "n5", "--reason", "upgrade_driver.yml")
    first = answer(control(*ours))
    assert (first["changed"], first["drained"], first["alive"], first["gpus"]) == (
        True,
        "upgrade_driver.yml",
        True,
        2,
    )
    assert answer(control(*ours))["changed"] is False
    other = answer(control("--node-drain", "n5", "--reason", "something else"))
    assert (other["changed"], other["drained"]) == (False, "upgrade_driver.yml")
    kept = answer(control("--node-resume", "n5", "--if-reason", "something else"))
    assert (kept["changed"], kept["drained"]) == (False, "upgrade_driver.yml")
    back = answer(control("--node-resume", "n5", "--if-reason", "upgrade_driver.yml"))
    assert (back["changed"], back["drained"]) == (True, "")
    assert answer(control("--node-resume", "n5"))["changed"] is False


def test_the_jobs_that_hold_a_node_are_named_and_keep_it_from_being_forgotten(
    server: Server, control: Control
) -> None:
    server.store.nodes.register(make_node("n1", gpus=8, cpus=1000.0, memory=2**50), now=now())
    agent = FakeAgent(server.store, server.data)
    job_id = submit(server.person("ann"))
    agent.start(job_id)
    held = answer(control("--node-jobs", "n1"))
    assert [(job["id"], job["owner"], job["state"]) for job in held["jobs"]] == [(job_id, "ann", "starting")]
    refused = control("--node-forget", "n1")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"held by 1 job ({job_id})" in refused.stderr


def test_a_node_that_takes_work_is_not_forgotten_and_a_drained_one_is(
    server: Server, control: Control
) -> None:
    server.store.nodes.register(make_node("n3"), now=now())
    assert "takes work" in control("--node-forget", "n3").stderr
    control("--node-drain", "n3", "--reason", "gone")
    gone = answer(control("--node-forget", "n3"))
    assert (gone["changed"], gone["known"], gone["jobs"]) == (True, False, [])
    assert answer(control("--node-forget", "n3"))["changed"] is False


@pytest.mark.parametrize(
    "command", [("drain", "--reason", "x"), ("resume",), ("jobs",), ("status",), ("forget",)]
)
def test_a_node_that_nobody_knows_takes_no_jobs_and_is_no_error(
    control: Control, command: tuple[str, ...]
) -> None:
    found = answer(control(f"--node-{command[0]}", "n9", *command[1:]))
    assert (found["changed"], found["known"], found["alive"], found["jobs"]) == (False, False, False, [])


def test_a_drain_says_why(control: Control) -> None:
    refused = control("--node-drain", "n1")
    assert refused.returncode == 2
    assert "--reason" in refused.stderr


def test_one_command_at_a_time(control: Control) -> None:
    refused = control("--node-status", "n1", "--node-forget", "n1")
    assert refused.returncode == 2
    assert "not allowed with" in refused.stderr


def test_status_says_the_labels_and_the_version(server: Server, control: Control) -> None:
    server.store.nodes.register(replace(make_node("n4"), labels={"rack": "a"}), now=now())
    found = answer(control("--node-status", "n4"))
    assert (found["known"], found["labels"], found["joined"]) == (True, {"rack": "a"}, False)
    assert 0 <= found["heard"] < 15
