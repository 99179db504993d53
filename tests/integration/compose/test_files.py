"""The files as the programs that read them see them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from support.need import need

REPO = Path(__file__).parents[3]
CHECK = Path(sys.executable).parent / "check-jsonschema"


def run(*command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("LABQ_", "COMPOSE_"))}
    return subprocess.run(
        command,
        cwd=REPO,
        env=clean | env,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_the_compose_files_follow_the_specification(tmp_path: Path) -> None:
    files = ["docker-compose.yml", *map(str, sorted((REPO / "compose").glob("cgroup2.yml")))]
    assert len(files) == 2
    result = run(CHECK, "--builtin-schema", "vendor.compose-spec", *files)
    assert result.returncode == 0, result.stdout
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("services: {a: {image: b, restrat: always}}")
    assert run(CHECK, "--builtin-schema", "vendor.compose-spec", wrong).returncode == 1


def test_docker_compose_of_debian_takes_the_file_and_warns_of_nothing() -> None:
    need(shutil.which("docker-compose"), "docker-compose (apt-get install docker-compose)")
    result = run("docker-compose", "config", "--services", COMPOSE_PROFILES="slack,node")
    assert (result.returncode, result.stderr) == (0, "")
    assert set(result.stdout.split()) == {
        "redis", "scheduler", "notifier", "prometheus", "alertmanager", "grafana", "registry",
        "worker", "exporter", "node-exporter",
    }  # fmt: skip


def test_the_secrets_are_made_once_and_only_their_owner_comes_near(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    first = run(REPO / "scripts" / "secrets", folder)
    assert first.returncode == 0, first.stderr
    values = {path.name: path.read_text() for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    password = values["redis_auth"].split()[1]
    assert len(password) == 64
    assert values["redis_url"] == f"redis://:{password}@redis:6379/0\n"
    assert values["grafana_admin_password"].strip() not in {"", password}
    assert len(values["metrics_token"].strip()) == 64
    assert not [
        value
        for value in (password, values["grafana_admin_password"].strip(), values["metrics_token"].strip())
        if value in first.stdout + first.stderr
    ]
    again = run(REPO / "scripts" / "secrets", folder)
    assert "all secrets are there already" in again.stdout
    assert {path.name: path.read_text() for path in folder.iterdir()} == values


def test_without_an_argument_the_secrets_lie_where_the_compose_file_looks(tmp_path: Path) -> None:
    shutil.copytree(REPO / "scripts", tmp_path / "scripts")
    assert run(tmp_path / "scripts" / "secrets").returncode == 0
    assert (tmp_path / "secrets" / "redis_url").is_file()
    refused = run(tmp_path / "scripts" / "secrets", "--help")
    assert (refused.returncode, "usage: scripts/secrets [DIRECTORY]" in refused.stderr) == (1, True)


def test_who_makes_the_secrets_reads_what_stays_silent_without_them(tmp_path: Path) -> None:
    assert "slack_bot_token is empty: alerts go nowhere" in run(REPO / "scripts" / "secrets", tmp_path).stdout
    for name, value in (("slack_bot_token", "xoxb-1"), ("metrics_token", "")):
        (tmp_path / name).unlink()
        (tmp_path / name).write_text(value)
    said = run(REPO / "scripts" / "secrets", tmp_path)
    assert said.returncode == 0
    assert "alerts go nowhere" not in said.stdout
    assert "/metrics is open" in said.stdout


def test_a_lost_half_of_the_redis_password_is_made_from_the_other(tmp_path: Path) -> None:
    run(REPO / "scripts" / "secrets", tmp_path)
    for name in ("redis_auth", "redis_url"):
        kept = (tmp_path / name).read_text()
        (tmp_path / name).unlink()
        assert run(REPO / "scripts" / "secrets", tmp_path).returncode == 0
        assert (tmp_path / name).read_text() == kept


def test_two_different_redis_passwords_are_refused_and_not_shown(tmp_path: Path) -> None:
    run(REPO / "scripts" / "secrets", tmp_path)
    (tmp_path / "redis_auth").unlink()
    (tmp_path / "redis_auth").write_text("requirepass another\n")
    result = run(REPO / "scripts" / "secrets", tmp_path)
    assert result.returncode == 1
    assert "have different passwords" in result.stderr
    assert "another" not in result.stderr + result.stdout


def test_a_directory_that_an_engine_made_in_place_of_a_secret_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "redis_url").mkdir()
    assert run(REPO / "scripts" / "secrets", tmp_path).returncode == 0
    assert (tmp_path / "redis_url").is_file()
