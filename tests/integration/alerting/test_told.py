"""From what an exporter says, or does not say any more, to what a person reads: real Prometheus, real Alertmanager."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.alerting import Slack, Target, Watching, watching
from support.waiting import wait_for

from labq.clock import now, rfc3339

PEOPLE = """
labq_user_info{user="alice",slack_id="U0ALICE",group="vision"} 1
labq_scheduler_leader 1
"""


def gpu(index: int, **values: float) -> str:
    rows = {"up": 1, "temperature_celsius": 40, **values}
    return "".join(
        f'labq_gpu_{name}{{gpu="{index}",uuid="GPU-{index}"}} {value}\n' for name, value in rows.items()
    )


def group(name: str, exporter: Target, node: Target) -> dict[str, Any]:
    labels = {"node": name, "__exporter_port": str(exporter.port), "__node_exporter_port": str(node.port)}
    return {"targets": ["127.0.0.1"], "labels": labels}


@pytest.fixture
def lab() -> Iterator[dict[str, Target]]:
    """A server, and a node with its two exporters."""
    page = "labq_node_gpus_expected 2\n" + gpu(0) + gpu(1, temperature_celsius=99)
    made = {"server": Target(PEOPLE), "labq": Target(page), "node": Target("node_load1 0\n")}
    yield made
    for target in made.values():
        target.die()


@pytest.fixture
def watched(lab: dict[str, Target], tmp_path: Path) -> Iterator[Watching]:
    nodes = [group("gpu01", lab["labq"], lab["node"])]
    # A sample is old after five minutes; a test has no time for windows of half an hour.
    rules = {r"\[30m\]": "[10s]", r"0\.9 \* 1800": "0.5 * 10"}
    with watching(tmp_path / "lab", nodes=nodes, server=lab["server"].port, rules=rules) as running:
        yield running


def first(slack: Slack, channel: str, words: str, watched: Watching) -> dict[str, Any]:
    """The first message to a channel with these words in its title."""
    found = wait_for(
        lambda: [post for post in slack.to(channel) if words in post["title"]],
        30,
        f"a message to {channel} with {words!r}",
        hint=lambda: f"{slack.posts}\n{slack.refused}\n{watched.alerts()}\n{watched.logs()}",
    )
    return found[0]


def test_a_node_dies_and_comes_back_and_the_admins_read_both(
    lab: dict[str, Target], watched: Watching
) -> None:
    hot = first(watched.slack, "#gpu-admin", "GPU 1 of gpu01 is too hot", watched)
    assert hot["color"] == "warning"
    assert "99 °C" in hot["text"]
    lab["labq"].die()
    lab["node"].die()
    down = first(watched.slack, "#gpu-admin", "gpu01 is down", watched)
    assert down["title"] == "gpu01 is down"
    assert down["color"] == "danger"
    assert down["text"].startswith("0 exporters of gpu01 have answered")
    assert "<https://labq.example/docs/runbooks.md#labqnodedown|What to do>" in down["text"]
    assert "title_link" not in down
    lab["labq"].revive()
    lab["node"].revive()
    back = first(watched.slack, "#gpu-admin", "Resolved: gpu01 is down", watched)
    assert back["color"] == "good"
    assert back["text"].startswith("*Resolved* after ")
    assert "gpu01 answers again." in back["text"]
    assert "What to do" not in back["text"]
    assert watched.slack.refused == []


def tell_and_wait(watched: Watching, name: str) -> None:
    """Give Alertmanager an alert and wait until it is told: what was to be told before has been."""
    labels = {"alertname": name, "node": "elsewhere", "severity": "critical", "audience": "admin"}
    watched.tell({"labels": labels, "annotations": {"summary": name}})
    first(watched.slack, "#gpu-admin", name, watched)


def test_a_node_that_is_down_and_then_removed_is_not_said_to_answer_again(
    lab: dict[str, Target], watched: Watching
) -> None:
    first(watched.slack, "#gpu-admin", "GPU 1 of gpu01 is too hot", watched)
    lab["labq"].die()
    lab["node"].die()
    first(watched.slack, "#gpu-admin", "gpu01 is down", watched)
    (watched.folder / "prometheus" / "targets" / "nodes.json").write_text("[]")
    wait_for(
        lambda: watched.state("LabqNodeAway", node="gpu01") == "active",
        60,
        "it to be away",
        hint=watched.logs,
    )
    for alert in ("LabqNodeDown", "LabqGpuHot"):
        wait_for(lambda name=alert: watched.state(name) == "", 60, f"{alert} to end", hint=watched.logs)  # type: ignore[misc]
    tell_and_wait(watched, "One")
    tell_and_wait(watched, "Two")
    titles = [post["title"] for post in watched.slack.to("#gpu-admin")]
    assert [title for title in titles if "Resolved" in title or "out of service" in title] == []


def test_of_a_node_that_is_drained_and_switched_off_nothing_is_said(
    lab: dict[str, Target], watched: Watching
) -> None:
    first(watched.slack, "#gpu-admin", "GPU 1 of gpu01 is too hot", watched)
    said = len(watched.slack.posts)
    lab["server"].page = PEOPLE + 'labq_node_drained{node="gpu01"} 1\n'
    wait_for(lambda: watched.query("labq_node_drained == 1"), 30, "Prometheus to know", hint=watched.logs)
    lab["labq"].die()
    lab["node"].die()
    wait_for(
        lambda: watched.state("LabqNodeAway", node="gpu01") == "active",
        60,
        "it to be away",
        hint=watched.logs,
    )
    wait_for(lambda: watched.state("LabqGpuHot") == "", 60, "the old alert to end", hint=watched.logs)
    tell_and_wait(watched, "One")
    tell_and_wait(watched, "Two")
    assert [post["attachments"][0]["title"] for post in watched.slack.posts[said:]] == ["One", "Two"]


def test_prometheus_evaluates_every_rule_also_when_a_person_has_two_slack_ids_at_once(
    lab: dict[str, Target], watched: Watching
) -> None:
    lab["server"].page = (
        PEOPLE
        + 'labq_gpu_lease{node="gpu01",gpu="0",uuid="GPU-0",user="bob",job_id="7"} 1\n'
        + ('labq_user_info{user="alice",slack_id="U0NEW",group="vision"} 1\n')
    )
    memory = 'labq_gpu_user_memory_used_bytes{{gpu="0",uuid="GPU-0",user="{}"}} 1e9\n'
    lab["labq"].page = idle("alice", 0, 1, "a") + idle("bob", 0, 1, "b") + memory.format("alice")
    wait_for(lambda: watched.state("LabqGpuConflict", user="alice"), 30, "the conflict", hint=watched.logs)
    rules = wait_for(
        lambda: [] if any(rule["health"] == "unknown" for rule in watched.rules()) else watched.rules(),
        30,
        "all to be evaluated",
    )
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []
    assert len(rules) > 40


def test_nothing_is_said_of_the_gpus_of_a_dead_node(lab: dict[str, Target], watched: Watching) -> None:
    lab["labq"].die()
    lab["node"].die()
    first(watched.slack, "#gpu-admin", "gpu01 is down", watched)
    said = len(watched.slack.posts)
    alert = {
        "labels": {"alertname": "LabqGpuHot", "node": "gpu01", "gpu": "0", "severity": "warning", "audience": "admin"},
        "annotations": {"summary": "GPU 0 of gpu01 is too hot"},
    }  # fmt: skip
    elsewhere = {**alert, "labels": {**alert["labels"], "node": "gpu02"},
                 "annotations": {"summary": "GPU 0 of gpu02 is too hot"}}  # fmt: skip
    watched.tell(alert, elsewhere)
    first(watched.slack, "#gpu-admin", "GPU 0 of gpu02 is too hot", watched)
    wait_for(
        lambda: watched.state("LabqGpuHot", node="gpu01") == "suppressed", 10, "the alert to be silenced"
    )
    assert not [post for post in watched.slack.posts[said:] if "gpu01" in post["attachments"][0]["title"]]


def idle(user: str, index: int, seconds: float, container: str) -> str:
    who = f'gpu="{index}",uuid="GPU-{index}",user="{user}"'
    return (
        f'labq_gpu_user_held_seconds_total{{{who},scope="outside"}} {seconds}\n'
        f'labq_gpu_user_idle_held_seconds_total{{{who},scope="outside"}} {seconds}\n'
        f'labq_gpu_holder_info{{{who},source="mount",container="{container}",job_id="",image="",disputed="false"}} 1\n'
    )


def test_two_idle_gpus_of_one_person_are_one_message_to_that_person(
    lab: dict[str, Target], watched: Watching
) -> None:
    began = now()

    def held() -> bool:
        seconds = now() - began
        lab["labq"].page = (
            idle("alice", 0, seconds, "train")
            + idle("alice", 1, seconds, "<!channel> & more")
            + idle("uid:7", 2, seconds, "x")
        )
        return bool(watched.slack.to("U0ALICE")) and bool(watched.slack.to("#gpu-usage"))

    wait_for(held, 60, "both to be told", interval=0.1, hint=lambda: f"{watched.alerts()}\n{watched.logs()}")
    message = watched.slack.to("U0ALICE")[-1]
    assert message["title"] == "2 alerts, LabqGpuHeldIdle, gpu01, alice"
    assert len(watched.slack.to("U0ALICE")) == 1
    assert "*alice holds GPU 0 of gpu01 without using it*" in message["text"]
    assert "*alice holds GPU 1 of gpu01 without using it*" in message["text"]
    assert "container &lt;!channel&gt; &amp; more." in message["text"]
    assert "<!channel>" not in str(watched.slack.posts)
    stranger = watched.slack.to("#gpu-usage")[0]
    assert stranger["title"] == "uid:7 holds GPU 2 of gpu01 without using it"
    assert "<@" not in str(watched.slack.to("#gpu-usage"))
    assert stranger["color"] == "#439FE0"


def test_the_watchdog_is_heard_by_whoever_misses_it(lab: dict[str, Target], tmp_path: Path) -> None:
    deadman = Target()
    routes = {
        r"# webhook_configs: \[\{url_file: secrets/deadman-url": f'webhook_configs: [{{url: "http://127.0.0.1:{deadman.port}/ping"'
    }
    try:
        nodes: list[dict[str, Any]] = []
        with watching(tmp_path / "lab", nodes=nodes, server=lab["server"].port, routes=routes) as running:
            wait_for(lambda: deadman.heard, 30, "the watchdog", hint=running.logs)
            assert running.slack.to("#gpu-admin") == []
    finally:
        deadman.die()


def test_at_night_nobody_is_written_to_and_machines_that_fail_are_told_all_the_same(
    lab: dict[str, Target], tmp_path: Path
) -> None:
    night = {
        r"mute_time_intervals: \[\]": "mute_time_intervals: [quiet]",
        r'\{start_time: "22:00", end_time: "24:00"\}': '{start_time: "00:00", end_time: "24:00"}',
    }
    with watching(tmp_path / "lab", nodes=[], server=lab["server"].port, routes=night) as running:
        labels = {"alertname": "LabqGpuConflict", "user": "alice", "slack_id": "U0ALICE", "severity": "warning",
                  "audience": "user", "node": "gpu01", "gpu": "0"}  # fmt: skip
        running.tell({"labels": labels, "annotations": {"summary": "alice uses it"}})
        broken = {
            "alertname": "LabqGpuLost",
            "severity": "critical",
            "audience": "admin",
            "node": "gpu01",
            "gpu": "1",
        }
        wait_for(lambda: running.state("LabqGpuConflict"), 10, "the alert")
        running.tell({"labels": broken, "annotations": {"summary": "GPU 1 of gpu01 is lost"}})
        first(running.slack, "#gpu-admin", "GPU 1 of gpu01 is lost", running)
        # Its group waits no longer than the other's, and came first.
        assert running.slack.to("U0ALICE") == []
        assert running.slack.to("#gpu-usage") == []


def test_what_is_resolved_while_others_go_on_is_said_in_the_same_message(
    lab: dict[str, Target], tmp_path: Path
) -> None:
    with watching(tmp_path / "lab", nodes=[], server=lab["server"].port) as running:
        began = rfc3339(now() - timedelta(minutes=5).total_seconds())
        alerts = [
            {"labels": {"alertname": "LabqGpuLost", "severity": "critical", "audience": "admin", "node": "gpu01",
                        "gpu": str(index)},
             "startsAt": began,
             "annotations": {"summary": f"GPU {index} of gpu01 is lost", "description": "The driver cannot read it.",
                             "resolved": f"The driver reads GPU {index} of gpu01 again."}}
            for index in range(2)
        ]  # fmt: skip
        running.tell(*alerts)
        first(running.slack, "#gpu-admin", "2 alerts, LabqGpuLost, gpu01", running)
        running.tell({**alerts[1], "endsAt": rfc3339(now() - 1)})
        one = first(running.slack, "#gpu-admin", "alerts, LabqGpuLost, gpu01", running)
        found = wait_for(
            lambda: [post for post in running.slack.to("#gpu-admin") if "*Resolved*" in post["text"]],
            30, "the resolution", hint=lambda: f"{running.slack.posts}\n{running.logs()}",
        )[0]  # fmt: skip
        assert one["color"] == found["color"] == "danger"
        assert "*GPU 0 of gpu01 is lost*" in found["text"]
        assert "*GPU 1 of gpu01 is lost*" not in found["text"]
        assert re.search(
            r"\*Resolved\* after (4m59s|5m\d+s): The driver reads GPU 1 of gpu01 again\.", found["text"]
        )
