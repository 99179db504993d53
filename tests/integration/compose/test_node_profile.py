"""Profile `node`: agent and exporters in containers, on a machine with (simulated) GPUs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.compose import Stack
from support.engine import BUSYBOX, Engine
from support.waiting import wait_for


@pytest.fixture(scope="module")
def node_stack(engine: Engine, images: dict[str, str]) -> Iterator[Stack]:
    found = Stack(engine, images)
    found.settings["LABQ_GPUS"] = "sim:1xRTX-4090-24GB"
    try:
        found.up("redis", "scheduler", "prometheus")
        token = found.exec("scheduler", "labq-scheduler", "--add-node", "control").splitlines()[-1]
        path = found.secrets / "node_token"
        path.chmod(0o600)
        path.write_text(token + "\n")
        found.up("worker", "exporter", "node-exporter", profile="node")
        for service in ("worker", "exporter"):
            wait_for(lambda s=service: found.healthy(s), 60, f"{service} to be healthy", hint=found.logs)  # type: ignore[misc]
        yield found
    finally:
        found.close()


def labq(stack: Stack, *arguments: str) -> str:
    """As an admin would type it on the control machine, inside the server's container."""
    script = 'LABQ_TOKEN=$(labq-scheduler --add-admin ann --uid 0 --gid 0) exec labq "$@"'
    return stack.exec("scheduler", "sh", "-c", script, "labq", *arguments)


@pytest.mark.timeout(600)  # the images may have to be built first
def test_a_job_runs_through_the_agent_in_its_container(node_stack: Stack) -> None:
    said = labq(node_stack, "submit", "--image", BUSYBOX, "--gpus", "1", "--memory", "64MB", "--follow", "--", "echo", "ran")  # fmt: skip
    assert "ran" in said
    (job,) = json.loads(labq(node_stack, "ls", "--json"))
    assert (job["state"], job["node"]) == ("succeeded", "control")


def test_prometheus_finds_both_exporters_at_one_address(node_stack: Stack) -> None:
    def ups() -> set[str]:
        said = node_stack.exec(
            "prometheus", "promtool", "query", "instant", "-o", "json", "http://127.0.0.1:9090",
            'up{node="control"} == 1',
        )  # fmt: skip
        return {each["metric"]["instance"] for each in json.loads(said)}

    wanted = {"exporter:9746", "exporter:9100"}
    wait_for(lambda: ups() == wanted, 75, "both to be scraped", interval=1, hint=node_stack.logs)


def test_the_exporter_has_three_capabilities_and_a_read_only_root(node_stack: Stack) -> None:
    said = node_stack.exec(
        "exporter", "sh", "-c", "grep CapEff /proc/self/status; touch /x 2>&1; ls /proc/1/exe; true"
    )
    dac_override, dac_read_search, sys_ptrace = 1, 2, 19
    assert f"{1 << dac_override | 1 << dac_read_search | 1 << sys_ptrace:016x}" in said
    assert "Read-only file system" in said
