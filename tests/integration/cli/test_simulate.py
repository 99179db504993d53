"""`labq simulate` as a process: a trace, the lab's own jobs, files, errors, Ctrl-C."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from integration.cli.conftest import LABQ, RunLabq
from integration.cli.fake import FakeServer
from support.waiting import wait_for

REPO = Path(__file__).parents[3]
HEAD = "job_id,user,submit_s,duration_s,gpus"


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """Forty jobs of two people, which do not all fit on two GPUs at once."""
    rows = [f"j{n},{'ab'[n % 2]},{n * 100},{600 + n * 7},{1 + n % 2}" for n in range(40)]
    (tmp_path / "jobs.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    return "jobs.csv"


def past(number: int, user: str, gpus: str = "1") -> dict[str, Any]:
    return {
        "id": str(number), "user": user, "name": "train", "submitted_at": f"2026-11-01T00:{number:02d}:00.000Z",
        "seconds": 3600.0, "gpus": gpus, "cpus": None, "memory": None, "time": None, "priority": "normal", "nodes": [],
    }  # fmt: skip


def history(jobs: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    since = "2026-08-01T00:00:00.000Z"
    return {"since": since, "cut": False, "pseudonyms": True, "rules": "", "jobs": jobs, **more}


def node(name: str, cards: int) -> dict[str, Any]:
    gpus = [
        {
            "uuid": f"{name}-{i}",
            "index": i,
            "model": "NVIDIA GeForce RTX 4090",
            "memory": 24 * 2**30,
            "fault": "",
        }
        for i in range(cards)
    ]
    return {"name": name, "state": "up", "cpus": 16.0, "memory": 2**36, "labels": {}, "gpus": gpus}


def test_a_trace_needs_no_server_and_gives_table_csv_picture_and_json(
    server: FakeServer, labq: RunLabq, trace: str, tmp_path: Path
) -> None:
    done = labq(
        "simulate", trace, "--machines", "1x2", "--csv", "t.csv", "--picture", "p.svg", "--shake", "1"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("40 jobs of 2 people on 2 GPUs of 1 node (load ")
    names = [line.split()[0] for line in done.stdout.splitlines()[4:8]]
    assert names == ["mf-easy-pred", "easy-pred", "fifo", "own"]
    assert done.stderr.splitlines()[0] == "note: 40 jobs are few: differences may be chance"
    assert done.stderr.endswith("\nthe picture is in p.svg\n")
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [row["policy"] for row in rows] == names
    assert ET.parse(tmp_path / "p.svg").getroot().tag.endswith("svg")  # noqa: S314 # it is ours
    body = json.loads(labq("simulate", trace, "--machines", "1x2", "--shake", "1", "--json").stdout)
    assert [row["policy"] for row in body["rows"]] == names
    assert float(rows[3]["wait_mean"]) == pytest.approx(body["rows"][3]["measures"]["wait_mean"], abs=1e-3)
    assert server.requests == []


def test_the_lab_s_own_jobs_on_its_machines_and_on_two_more(server: FakeServer, labq: RunLabq) -> None:
    jobs = [past(n, "ann" if n % 3 else "bob") for n in range(30)]
    server.add_json("GET", "/v1/history", history(jobs, cut=True))
    server.add_json("GET", "/v1/nodes", [node("n1", 2)])
    done = labq("simulate", "--history", "--since", "30d", "--add", "2x1:4090:24GB", "--shake", "0")
    assert done.returncode == 0, done.stderr
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[4:6]] == ["own", "own +2x1:4090:24GB"]
    assert "with 4 GPUs instead of 2: people wait " in done.stdout
    assert "only the newest 30 jobs are replayed" in done.stderr
    asked = [path for _, path, _, _ in server.requests]
    assert asked == ["/v1/history?since=30d", "/v1/nodes"]


def test_given_rules_are_compared_with_those_in_force(
    server: FakeServer, labq: RunLabq, tmp_path: Path
) -> None:
    jobs = [past(n, "ann" if n % 3 else "bob") for n in range(30)]
    server.add_json("GET", "/v1/history", history(jobs, rules='"weights"."small" = 0\n"shares"."ann" = 2\n'))
    server.add_json("GET", "/v1/nodes", [node("n1", 2)])
    (tmp_path / "rules.toml").write_text("[weights]\nsmall = 3\n")
    done = labq("simulate", "--history", "--rules", "rules.toml", "--shake", "0")
    assert [line.split()[0] for line in done.stdout.splitlines()[4:6]] == ["present", "own"], done.stderr
    assert done.stderr == "note: 30 jobs are few: differences may be chance\n"
    done = labq("simulate", "--history", "--compare", "own", "--shake", "0")
    assert "an admin's replay is exact" in done.stderr


def test_a_lab_without_a_past_has_nothing_to_replay(server: FakeServer, labq: RunLabq) -> None:
    server.add_json("GET", "/v1/history", history([]))
    done = labq("simulate", "--history")
    assert done.returncode == 2
    assert "was submitted since 2026-08-01T00:00:00.000Z" in done.stderr
    assert "--since 180d" in done.stderr


def test_rules_from_a_file_are_compared_with_the_defaults(labq: RunLabq, trace: str, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text("[weights]\nsmall = 0\n")
    done = labq("simulate", trace, "--machines", "1x2", "--rules", "rules.toml", "--shake", "0")
    assert [line.split()[0] for line in done.stdout.splitlines()[4:6]] == ["default", "own"], done.stderr
    (tmp_path / "rules.toml").write_text("[weights]\nsmal = 0\n")
    done = labq("simulate", trace, "--machines", "1x2", "--rules", "rules.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "rules.toml:2:" in done.stderr
    assert "did you mean small?" in done.stderr


@pytest.mark.parametrize(
    ("flags", "what", "then"),
    [
        ((), "labq simulate: no jobs were given", "--history"),
        (("jobs.csv", "--history"), "both a trace and --history", "CSV file"),
        (("jobs.csv",), "--machines is missing", "--machines 14x4"),
        (("jobs.csv", "--machines", "1x2", "--since", "3d"), "--since without --history", "first job"),
        (("jobs.csv", "--machines", "2by4"), "machines '2by4' are not legal", "14x4"),
        (
            ("jobs.csv", "--machines", "1x2", "--compare", "fi-fo"),
            "policy 'fi-fo' is not known",
            "mean fifo?",
        ),
        (("jobs.csv", "--machines", "1x1"), "asks for GPUs '2', and these machines", "larger --machines"),
        (("none.csv", "--machines", "1x1"), "none.csv cannot be read as CSV: No such file", "CSV file"),
        (("jobs.csv", "--machines", "1x2", "--shake", "-1"), "'-1' is not a whole number", "digits"),
        (("jobs.csv", "--machines", "1x2", "--limit-runtime", "long"), "'long' is not a duration", "30m"),
        (("jobs.csv", "--machines", "1x2", "--picture", "no/p.svg"), "there is no directory", "make it"),
        (
            ("jobs.csv", "--machines", "1x2", "--picture", "./jobs.csv"),
            "--picture ./jobs.csv is the trace, too",
            "name another",
        ),
        (
            ("jobs.csv", "--machines", "1x2", "--csv", "a", "--picture", "a"),
            "--csv a is the file of --picture, too",
            "name another",
        ),
        (("jobs.csv", "--machines", "1x2", "--csv", "."), "--csv . cannot be written", "name a file"),
        (
            ("jobs.csv", "--machines", "1x2", "--compair", "own"),
            "no flag '--compair'",
            "did you mean --compare?",
        ),
    ],
)
@pytest.mark.usefixtures("trace")
def test_what_is_wrong_is_said_in_two_lines(
    labq: RunLabq, flags: tuple[str, ...], what: str, then: str
) -> None:
    done = labq("simulate", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert what in first
    assert then in second


def test_a_module_beside_the_trace_is_not_taken_for_python_s(
    labq: RunLabq, trace: str, tmp_path: Path
) -> None:
    (tmp_path / "csv.py").write_text("raise SystemExit('the wrong csv')\n")
    done = labq("simulate", trace, "--machines", "1x2", "--compare", "own", "--shake", "0")
    assert done.returncode == 0, done.stderr


def test_nobody_needs_to_read_to_the_end(labq_env: dict[str, str], trace: str, tmp_path: Path) -> None:
    command = (
        f"{LABQ} simulate {trace} --machines 1x2 --compare own --shake 0 | head -0; echo ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=labq_env,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "Traceback" not in done.stderr


def test_the_standard_library_is_enough(trace: str, tmp_path: Path) -> None:
    # -S: no site-packages, as where only the client is installed.
    program = f"import sys; sys.path.insert(0, {str(REPO)!r}); from labq.cli import run; sys.exit(run(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-S", "-I", "-c", program, "simulate", trace, "--machines", "1x2"],
        cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "own" in done.stdout


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(text) for text in task.read_text().split()]
    return found


@pytest.mark.parametrize("to", ["everybody", "the first only", "the first only, and for good"])
def test_ctrl_c_ends_it_and_its_processes_without_a_word(
    labq_env: dict[str, str], tmp_path: Path, to: str
) -> None:
    rows = [f"j{n},{'abcdefgh'[n % 8]},{n * 10},{3600 + n * 97 % 5000},{1 + n % 3}" for n in range(20_000)]
    (tmp_path / "long.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    process = subprocess.Popen(
        [str(LABQ), "simulate", "long.csv", "--machines", "8x4", "--workers", "2"], cwd=tmp_path, env=labq_env,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(lambda: len(children(process.pid)) >= 2, 30, "two replays to be going on")
        workers = children(process.pid)
        if to == "everybody":
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGKILL if "good" in to else signal.SIGINT)
        out, said = process.communicate(timeout=20)
        assert (process.returncode, out, said) == (-signal.SIGKILL if "good" in to else 130, "", "")
        wait_for(lambda: not any(alive(worker) for worker in workers), 10, "its processes to end")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
