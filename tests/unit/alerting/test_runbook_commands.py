"""What a runbook says to type can be typed: labq's own commands parse, services of compose exist, the shell reads each block."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from labq.cli import verbs
from labq.cli.parser import parse

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "docs" / "runbooks.md", *((ROOT / "docs" / "howto" / f"{name}.md") for name in ("slack", "watching", "idle-gpus"))]  # fmt: skip
SERVICES = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"])
#: Stand for more, in a command that a person fills in.
LEFT_OPEN = "…"


def blocks(page: Path) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", page.read_text(), re.S)


def commands(page: Path) -> list[list[str]]:
    """The words of each `labq …` in a page's blocks and between its backticks, however many stand in a line."""
    lines = [line for block in blocks(page) for line in block.splitlines()]
    lines += re.findall(r"`(labq [^`]+)`", page.read_text())
    pieces = [piece for line in lines for piece in re.split(r"\s*(?:;|\||&&)\s*", line)]
    return [shlex.split(piece, comments=True)[1:] for piece in pieces if piece.startswith("labq ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_command_of_labq_that_is_named_exists_and_takes_what_is_said(page: Path) -> None:
    found = commands(page)
    assert found
    for name, *rest in found:
        assert name in verbs.VERBS, f"{page.name}: labq {name}"
        if rest and LEFT_OPEN not in rest:
            assert parse(name, verbs.load(name), rest) is not None, f"{page.name}: labq {name} {rest}"


def test_each_service_of_compose_that_a_runbook_names_exists() -> None:
    named = re.findall(
        r"docker compose (?:exec|logs(?: --\w+ \w+)*|up -d|ps) ([a-z][\w-]*)", PAGES[0].read_text()
    )
    assert len(named) > 10
    assert set(named) <= SERVICES


def test_the_shell_reads_each_block_of_a_runbook() -> None:
    for block in blocks(PAGES[0]):
        done = subprocess.run(
            ["bash", "-n"], input=block, capture_output=True, text=True, check=False, timeout=10
        )
        assert (done.returncode, done.stderr) == (0, ""), block
