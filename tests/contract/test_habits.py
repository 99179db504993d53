"""House rules that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from labq.cli.verbs import VERBS

REPO = Path(__file__).parents[2]
CODE = [REPO / "labq", REPO / "scheduler", REPO / "worker", REPO / "exporter"]
FILES = sorted(path for root in CODE for path in root.rglob("*.py"))
#: The one module (or package) that may import each foreign library.
FOREIGN = {
    "redis": (
        "labq/store/connection.py",
        "scheduler/labq_scheduler/dispatch.py",
        "labq/store/messages.py",
    ),
    "rq": ("scheduler/labq_scheduler/dispatch.py", "labq/store/messages.py"),
    "docker": (
        "worker/labq_worker/containers.py",
        "worker/labq_worker/engine_errors.py",
        "labq/holding/engines.py",
    ),
    "pynvml": ("labq/holding/nvml.py", "labq/holding/nvml_questions.py", "labq/holding/nvml_near.py"),
    "sqlalchemy": ("scheduler/labq_scheduler/records/",),
    "fastapi": ("scheduler/labq_scheduler/api/",),
    "slack_sdk": ("scheduler/labq_scheduler/notify/slack",),
    "ansible_runner": ("scheduler/labq_scheduler/provision/driver.py",),
    "smtplib": ("scheduler/labq_scheduler/notify/mail.py",),
    "prometheus_client": ("scheduler/labq_scheduler/metrics/page.py", "exporter/labq_exporter/"),
}


def imported(path: Path) -> set[str]:
    """Return the top names that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("library", FOREIGN)
def test_one_module_imports_each_foreign_library(library: str) -> None:
    importers = [str(path.relative_to(REPO)) for path in FILES if library in imported(path)]
    assert [path for path in importers if not path.startswith(FOREIGN[library])] == []


def test_no_file_is_over_400_lines_and_none_is_called_utils() -> None:
    assert [path for path in FILES if len(path.read_text().splitlines()) > 400] == []
    assert [path for path in FILES if path.stem in {"utils", "helpers", "common"}] == []


def test_half_of_the_files_are_short() -> None:
    lengths = sorted(len(path.read_text().splitlines()) for path in FILES)
    assert lengths[len(lengths) // 2] <= 150


def test_every_relative_link_of_the_documents_leads_somewhere() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=REPO, capture_output=True, text=True, check=True
    ).stdout
    dead = []
    for name in tracked.split():
        text = re.sub(r"```.*?```", "", (REPO / name).read_text(), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" not in link and not (REPO / name).parent.joinpath(link).exists():
                dead.append(f"{name}: {link}")  # noqa: PERF401
    assert dead == []


def test_every_error_has_a_code_of_its_own_and_legal_statuses() -> None:
    from labq.errors import LabqError, _all_classes

    classes = [kind for kind in _all_classes(LabqError) if kind.__module__ == "labq.errors"]
    codes = [kind.code for kind in classes]
    assert len(set(codes)) == len(codes)
    assert all(400 <= kind.http_status < 600 and 0 < kind.exit_status < 126 for kind in classes)


def test_an_error_crosses_the_wire_as_itself() -> None:
    from labq.errors import BadInputError, from_wire

    sent = BadInputError("GPU request 'x' is not legal", "write 2", nearest="1")
    got = from_wire(sent.to_wire(), 422)
    assert (type(got), got.what, got.next, got.details) == (
        BadInputError,
        sent.what,
        sent.next,
        {"nearest": "1"},
    )


def test_no_advice_names_a_verb_behind_a_verb_that_takes_none() -> None:
    # `labq nodes resume n1` reads well and does not exist: it is `labq resume n1`.
    wrong = re.compile(rf"labq (nodes|top|usage|doctor|ls|config) ({'|'.join(VERBS)})\b")
    texts = [
        *FILES,
        *REPO.glob("*.md"),
        *(REPO / "docs").rglob("*.md"),
        *(REPO / "dashboards").rglob("*.yml"),
    ]
    found = [f"{path}: {match[0]}" for path in texts for match in wrong.finditer(path.read_text())]
    assert not found
