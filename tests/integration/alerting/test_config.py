"""What promtool and amtool say of our files, and who is told of what."""

import json
import subprocess
from pathlib import Path

import pytest


def run(*command: str | Path, good: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert (done.returncode == 0) == good, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_prometheus_takes_its_configuration_with_the_nodes_that_the_server_writes(
    promtool: str, config: Path
) -> None:
    targets = config / "prometheus" / "targets"
    targets.mkdir()
    nodes = [
        {"targets": ["10.0.0.5"], "labels": {"node": "gpu01"}},
        {"targets": ["[fd00::5]"], "labels": {"node": "gpu02", "__exporter_port": "9999"}},
    ]
    (targets / "nodes.json").write_text(json.dumps(nodes))
    (config / "prometheus" / "more").mkdir()
    control = [{"targets": ["10.0.0.1"], "labels": {"node": "control01"}}]
    (config / "prometheus" / "more" / "control.json").write_text(json.dumps(control))
    said = run(promtool, "check", "config", config / "prometheus" / "prometheus.yml")
    assert "WARNING" not in said
    assert said.count("rules found") == 5


def test_prometheus_takes_the_rules(promtool: str, config: Path) -> None:
    run(promtool, "check", "rules", "--lint-fatal", *sorted((config / "prometheus" / "rules").glob("*.yml")))


TESTS = [
    "agents_and_messages",
    "away",
    "backups",
    "gpu_health",
    "gpus",
    "lost_data",
    "nodes",
    "people",
    "recording",
    "server",
]


@pytest.mark.parametrize("name", TESTS)
def test_the_rules_do_what_their_tests_say(promtool: str, config: Path, name: str) -> None:
    run(promtool, "test", "rules", config / "prometheus" / "tests" / f"{name}.yml")


def test_no_file_of_tests_is_left_out(config: Path) -> None:
    assert [path.stem for path in sorted((config / "prometheus" / "tests").glob("*.yml"))] == TESTS


def test_a_rule_that_is_changed_fails_its_test(promtool: str, config: Path) -> None:
    rules = config / "prometheus" / "rules" / "nodes.yml"
    changed = rules.read_text().replace("for: 10m", "for: 7m")
    rules.write_text(changed)
    said = run(promtool, "test", "rules", config / "prometheus" / "tests" / "nodes.yml", good=False)
    assert "away for seven minutes" in said


def test_alertmanager_takes_its_configuration_and_templates(amtool: str, config: Path) -> None:
    said = run(amtool, "check-config", config / "alertmanager" / "alertmanager.yml")
    assert "1 templates" in said


def test_no_secret_is_in_a_file_that_git_has(config: Path) -> None:
    text = (config / "alertmanager" / "alertmanager.yml").read_text()
    assert "xoxb-1" not in text
    assert "hooks.slack.com" not in text
    assert text.count("credentials_file: secrets/slack-token") == 1


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=LabqNodeDown severity=critical audience=admin node=gpu01", "admins"),
        ("alertname=LabqNodeAway severity=info audience=admin node=gpu01", "nobody"),
        ("alertname=LabqExporterDown severity=warning audience=admin node=gpu01", "admins"),
        ("alertname=LabqGpuUnattributed severity=info audience=admin node=gpu01 gpu=2", "admins"),
        ("alertname=RuleOfSomebodyElse", "admins"),
        ("alertname=LabqGpuHeldIdle severity=info audience=user user=alice slack_id=U0ALICE", "people"),
        ("alertname=LabqGpuHeldIdle severity=info audience=user user=bob", "people"),
        ("alertname=LabqGpuConflict severity=warning audience=user user=alice slack_id=U0ALICE", "people"),
        ("alertname=OfTheirOwn severity=critical audience=user user=alice slack_id=U0ALICE", "people"),
        ("alertname=LabqGpuConflict severity=warning audience=user user=unknown", "admins"),
        ("alertname=LabqWatchdog severity=info audience=admin", "deadman"),
    ],
)
def test_the_right_people_are_told(amtool: str, config: Path, labels: str, receiver: str) -> None:
    path = config / "alertmanager" / "alertmanager.yml"
    run(
        amtool, "config", "routes", "test", f"--config.file={path}", f"--verify.receivers={receiver}", *labels.split()
    )  # fmt: skip
