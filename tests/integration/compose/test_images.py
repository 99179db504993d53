"""The images: what is in them, who they run as, whether they start."""

from __future__ import annotations

import pytest
from support.compose import OURS
from support.engine import Engine
from support.waiting import wait_for

from labq import __version__


def run(engine: Engine, image: str, *command: str, check: bool = True) -> str:
    return engine.docker("run", "--rm", "--network", "none", "--read-only", image, *command, check=check)


@pytest.mark.timeout(600)  # the first test of all builds the images, once
@pytest.mark.parametrize(
    ("name", "program"), [(n, "labq-worker" if n == "worker" else f"labq-{n}") for n in OURS]
)
def test_an_image_starts_its_program_on_a_read_only_root(
    engine: Engine, images: dict[str, str], name: str, program: str
) -> None:
    assert run(engine, f"labq/{name}:test", program, "--version").split()[1] == __version__


@pytest.mark.parametrize("name", OURS)
def test_an_image_has_no_compiler_no_pip_and_no_source_tree(
    engine: Engine, images: dict[str, str], name: str
) -> None:
    script = "ls /src /wheels /opt/labq/bin/pip 2>/dev/null; command -v cc gcc make; true"
    assert run(engine, f"labq/{name}:test", "sh", "-c", script) == ""


@pytest.mark.parametrize("name", OURS)
def test_an_image_adds_less_than_100_mb_to_its_base(
    engine: Engine, images: dict[str, str], name: str
) -> None:
    size, base = (
        int(engine.docker("image", "inspect", "-f", "{{.Size}}", image))
        for image in (f"labq/{name}:test", images["LABQ_BASE"])
    )
    assert size - base < 100 * 10**6


def test_the_server_is_nobody_in_particular_and_owns_only_its_data(
    engine: Engine, images: dict[str, str]
) -> None:
    script = (
        "id -u; id -g; touch /opt/labq/x /etc/x 2>/dev/null && echo writable; stat -c %u:%a $LABQ_DATA_DIR"
    )
    said = engine.docker("run", "--rm", "--network", "none", "labq/scheduler:test", "sh", "-c", script)
    assert said.split() == ["7580", "7580", "7580:750"]


@pytest.mark.parametrize("name", OURS)
def test_no_secret_and_no_key_of_a_person_is_in_an_image(
    engine: Engine, images: dict[str, str], name: str
) -> None:
    environment = engine.docker("image", "inspect", "-f", "{{json .Config.Env}}", f"labq/{name}:test")
    history = engine.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", f"labq/{name}:test")
    for word in ("PASSWORD", "TOKEN", "REDIS_URL"):
        assert word not in environment + history


def test_the_exporter_answers_its_health_check_with_few_rights_and_the_hosts_processes(
    engine: Engine, images: dict[str, str]
) -> None:
    container = engine.docker(
        "run", "-d", "--label", "labq.test=1", "--read-only", "--tmpfs", "/tmp", "--tmpfs", "/run/labq",
        "--pid", "host", "--cap-drop", "ALL", "--cap-add", "SYS_PTRACE", "--cap-add", "DAC_READ_SEARCH",
        "--cap-add", "DAC_OVERRIDE", "--security-opt", "no-new-privileges", "--health-interval", "1s",
        "labq/exporter:test",
    ).strip()  # fmt: skip
    try:
        wait_for(
            lambda: engine.docker("inspect", "-f", "{{.State.Health.Status}}", container).strip()
            == "healthy",
            30,
            "the exporter to be healthy",
            hint=lambda: engine.docker("logs", container),
        )
    finally:
        engine.docker("rm", "-f", container)
