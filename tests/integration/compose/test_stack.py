"""The control machine as compose starts it: a person submits, an agent on the host runs, Prometheus finds the node."""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.compose import Stack
from support.daemon import Daemon
from support.engine import BUSYBOX, Engine
from support.waiting import wait_for

BIN = Path(sys.executable).parent
NODE = "hostnode"
ADMIN = "ann"


def get(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.addheaders = list((headers or {}).items())
    with opener.open(url, timeout=10) as answer:
        return int(answer.status), bytes(answer.read())


def query(stack: Stack, expression: str) -> list[dict[str, Any]]:
    """What Prometheus knows, asked from inside: its port is not published."""
    said = stack.exec(
        "prometheus", "promtool", "query", "instant", "-o", "json", "http://127.0.0.1:9090", expression
    )
    return list(json.loads(said))


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    """The first admin's, made as the how-to says."""
    made = stack.exec("scheduler", "labq-scheduler", "--add-admin", ADMIN, "--uid", "0", "--gid", "0")
    return made.splitlines()[-1]


@pytest.fixture(scope="module")
def gateway(stack: Stack) -> str:
    """The address at which containers find this machine."""
    form = "{{range $name, $net := .NetworkSettings.Networks}}{{$net.Gateway}} {{end}}"
    return stack.inspect("prometheus", form).split()[0]


@pytest.fixture(scope="module")
def node(stack: Stack, token: str, gateway: str, engine: Engine) -> Iterator[str]:
    """An agent and an exporter on the host, as systemd runs them on a node."""
    node_token = stack.exec("scheduler", "labq-scheduler", "--add-node", NODE).splitlines()[-1]
    folder = stack.folder / "host"
    folder.mkdir()
    (folder / "token").write_text(node_token + "\n")
    redis = stack.secret("redis_url").replace("@redis:6379", f"@127.0.0.1:{stack.redis_port}")
    (folder / "redis").write_text(redis + "\n")
    env = {key: value for key, value in os.environ.items() if not key.startswith("LABQ_")} | {
        "DOCKER_HOST": engine.host, "LABQ_CONFIG": str(folder / "none"), "LABQ_RUN_DIR": str(folder / "run"),
        "LABQ_REDIS_URL_FILE": str(folder / "redis"), "LABQ_NODE_TOKEN_FILE": str(folder / "token"),
        "LABQ_SERVER": stack.url, "LABQ_NODE_ADDRESS": gateway, "LABQ_DATA_DIR": str(folder / "data"),
    }  # fmt: skip
    agent, exporter = Daemon("agent", folder), Daemon("exporter", folder)
    agent.start([str(BIN / "labq-worker"), "--name", NODE, "--gpus", "sim:1xRTX-4090-24GB"], env, folder)
    exporter.start([str(BIN / "labq-exporter"), "--host", gateway, "--engines", engine.host[7:]], env, folder)
    try:
        wait_for(lambda: NODE in stack.labq(token, "nodes"), 30, "the node", interval=0.3, hint=agent.tail)
        yield NODE
    finally:
        agent.end()
        exporter.end()


@pytest.mark.timeout(600)  # the images may have to be built first
def test_everything_is_healthy_and_answers_where_it_is_published(stack: Stack) -> None:
    status, body = get(f"{stack.url}/readyz")
    assert (status, json.loads(body)["ok"]) == (200, True)
    assert get(f"http://127.0.0.1:{stack.registry_port}/v2/")[0] == 200
    for service in ("redis", "scheduler", "prometheus", "alertmanager", "registry"):
        assert stack.healthy(service)


def test_a_setting_comes_from_env_may_be_empty_there_and_is_else_left_to_its_default(stack: Stack) -> None:
    said = 'echo "${LABQ_NODE_GRACE-unset}|${LABQ_IDLE_WARN-unset}|${LABQ_MAX_TIME-unset}|${LABQ_PORT-unset}"'
    assert stack.exec("scheduler", "sh", "-c", said) == "90s||unset|7580"
    script = "from labq.settings import Settings; s = Settings(); print(s.seconds('node_grace'), s.seconds('idle_warn'), s.text('keep_jobs'))"
    assert stack.exec("scheduler", "python", "-c", script) == "90.0 None 14d"


def test_the_metrics_of_the_server_are_for_who_has_the_token(stack: Stack) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(f"{stack.url}/metrics")
    with refused.value as answer:
        assert answer.code == 401
    status, page = get(f"{stack.url}/metrics", {"Authorization": f"Bearer {stack.secret('metrics_token')}"})
    assert (status, b"labq_jobs" in page) == (200, True)


def test_the_registry_takes_an_image_and_gives_it_back(stack: Stack, engine: Engine) -> None:
    name = f"127.0.0.1:{stack.registry_port}/lab/busybox:1"
    engine.docker("tag", BUSYBOX, name)
    try:
        assert "digest: sha256:" in engine.docker("push", name)
        engine.docker("rmi", name)
        assert "Downloaded newer image" in engine.docker("pull", name)
    finally:
        engine.docker("rmi", name, check=False)


def test_grafana_does_not_start_without_a_password(stack: Stack) -> None:
    # The image is a stand-in: what is tried is the entry point that stands before Grafana's own.
    stack.up("grafana")
    wait_for(
        lambda: "would start as 472" in stack.compose("logs", "grafana"), 10, "Grafana's own entry point"
    )
    path = stack.secrets / "grafana_admin_password"
    kept = path.read_text()
    try:
        path.unlink()
        path.touch(0o444)
        stack.compose("up", "-d", "--no-build", "--force-recreate", "grafana")
        wait_for(
            lambda: "is empty: run scripts/secrets" in stack.compose("logs", "grafana"), 10, "the refusal"
        )
        path.unlink()
        said = stack.compose("up", "-d", "--no-build", "--force-recreate", "grafana", check=False)
        assert "would start" not in stack.compose("logs", "grafana"), said
    finally:
        stack.compose("rm", "-sf", "grafana")
        if path.is_dir():
            path.rmdir()
        path.write_text(kept)


def test_only_the_four_ports_are_published_and_only_on_loopback(stack: Stack) -> None:
    form = "{{range $port, $where := .NetworkSettings.Ports}}{{range $where}}{{.HostIp}}>{{$port}} {{end}}{{end}}"
    found = {
        service: stack.inspect(service, form)
        for service in ("redis", "scheduler", "prometheus", "alertmanager", "registry")
    }
    assert found == {
        "redis": "127.0.0.1>6379/tcp", "scheduler": "127.0.0.1>7580/tcp", "prometheus": "", "alertmanager": "",
        "registry": "127.0.0.1>5000/tcp",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("service", "user"),
    [("redis", "999"), ("scheduler", "7580"), ("prometheus", "65534"), ("alertmanager", "65534")],
)
def test_a_service_is_not_root_and_cannot_write_its_root(stack: Stack, service: str, user: str) -> None:
    said = stack.exec(service, "sh", "-c", "id -u; touch /x 2>&1; grep CapEff /proc/self/status; true")
    assert said.splitlines()[0] == user
    assert "Read-only file system" in said
    assert re.search(r"CapEff:\s+0{16}$", said)


def test_redis_says_nothing_without_the_password_and_evicts_nothing(stack: Stack) -> None:
    assert "NOAUTH" in stack.exec("redis", "redis-cli", "ping")
    script = "export REDISCLI_AUTH=$(sed -n 's/^requirepass //p' /run/secrets/redis_auth); redis-cli config get maxmemory-policy; redis-cli config get appendonly"
    assert stack.exec("redis", "sh", "-c", script).split() == [
        "maxmemory-policy",
        "noeviction",
        "appendonly",
        "yes",
    ]


def test_a_job_from_the_host_runs_on_the_hosts_agent(stack: Stack, token: str, node: str) -> None:
    # BUSYBOX is on the engine of the agent: nothing is pulled.
    said = stack.labq(token, "submit", "--image", BUSYBOX, "--gpus", "1", "--memory", "64MB", "--follow", "--", "echo", "it", "ran")  # fmt: skip
    assert "it ran" in said
    (job,) = json.loads(stack.labq(token, "ls", "--json"))
    assert (job["owner"], job["state"], job["node"]) == (ADMIN, "succeeded", NODE)


def test_prometheus_finds_the_node_that_the_server_wrote_down(stack: Stack, node: str, gateway: str) -> None:
    written = json.loads(stack.exec("prometheus", "cat", "/etc/prometheus/targets/nodes.json"))
    assert written == [{"targets": [gateway], "labels": {"node": NODE}}]

    def up() -> list[str]:
        found = query(stack, f'up{{node="{NODE}",job=~".*labq.*"}}')
        return [each["metric"]["instance"] for each in found if each["value"][1] == "1"]

    # prometheus.yml reads the file again at least every 30 s, and scrapes every 15
    assert wait_for(up, 75, "Prometheus to scrape the node", interval=1, hint=stack.logs) == [
        f"{gateway}:9746"
    ]


def test_prometheus_scrapes_the_server_and_knows_alertmanager(stack: Stack) -> None:
    wait_for(lambda: query(stack, 'up{job="labq-server"} == 1'), 40, "the server to be scraped", interval=1)
    assert stack.exec("alertmanager", "amtool", "--alertmanager.url=http://127.0.0.1:9093", "alert", "query", "-o", "simple")  # fmt: skip


def test_a_lost_node_stays_on_the_list_and_a_removed_one_goes(stack: Stack, token: str, node: str) -> None:
    made = "import sys; from labq.node import Node; from labq.settings import Settings; from labq.store import Store; from labq.clock import now; s = Store(Settings().text('redis_url')).nodes; s.register(Node('gone', 1.0, 1, facts={'address': '10.9.8.7'}), now=now()); s.set_lost('gone', now=now())"

    def listed() -> str:
        return stack.exec("scheduler", "cat", "/var/lib/labq-targets/nodes.json")

    stack.exec("scheduler", "python", "-c", made)
    wait_for(lambda: "10.9.8.7" in listed(), 10, "the lost node to be listed")
    stack.labq(token, "nodes", "--remove", "gone")
    wait_for(lambda: "10.9.8.7" not in listed(), 10, "the removed node to go")
    assert NODE in listed()


def test_the_notifier_runs_beside_the_server_as_the_same_nobody(stack: Stack) -> None:
    stack.up("notifier", profile="slack")
    # Slack and mail have no secrets here: empty files are what a lab has before it fills them.
    wait_for(
        lambda: "telling people by webhook" in stack.engine.docker("logs", stack.container("notifier")),
        30,
        "the notifier to be at work",
        hint=stack.logs,
    )
    said = stack.exec("notifier", "sh", "-c", "id -u; touch /x 2>&1; ls $LABQ_DATA_DIR; true")
    assert said.split()[0] == "7580"
    assert "Read-only file system" in said
    assert "contexts" in said


def test_no_secret_is_in_an_inspect_a_log_or_the_printed_configuration(
    stack: Stack, token: str, node: str
) -> None:
    stack.up("notifier", profile="slack")
    names = ("grafana_admin_password", "metrics_token")
    secrets = [stack.secret("redis_auth").split()[1], *map(stack.secret, names), token]
    assert all(len(secret) > 20 for secret in secrets)
    shown = {
        "inspect": "".join(
            stack.engine.docker("inspect", stack.container(s))
            for s in ("redis", "scheduler", "notifier", "prometheus", "alertmanager", "registry")
        ),
        "processes": "".join(
            stack.engine.docker("top", stack.container(s)) for s in ("redis", "scheduler", "notifier")
        ),
        "logs": stack.compose("logs"),
        "config": stack.compose("--profile", "node", "--profile", "slack", "config"),
        "agent": (stack.folder / "host" / "agent.log").read_text(),
    }
    assert "redis-server" in shown["processes"]
    assert [
        (where, n) for where, text in shown.items() for n, secret in enumerate(secrets) if secret in text
    ] == []


def test_redis_keeps_what_it_was_told_when_it_is_killed(stack: Stack, token: str, node: str) -> None:
    stack.labq(token, "submit", "--image", BUSYBOX, "--memory", "64MB", "--not-before", "2099-01-01T00:00:00Z", "--name", "kept", "--", "true")  # fmt: skip
    # appendfsync everysec is against a power cut; a kill of the process loses nothing that it answered.
    stack.engine.docker("kill", stack.container("redis"))
    stack.up("redis")
    wait_for(
        lambda: stack.healthy("redis") and stack.healthy("scheduler"),
        60,
        "both to be healthy",
        hint=stack.logs,
    )

    def listed() -> (
        bool
    ):  # healthy, as the engine saw it some seconds ago: until the server has read it, it says so
        return "kept" in stack.labq(token, "ls")

    wait_for(listed, 30, "the server to read the lab's state again", interval=1, hint=stack.logs)
