"""The entry point: which verb, errors in two lines, exit statuses, and what a start imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from labq import cli, errors
from labq.cli import verbs
from labq.cli.wait import STATUS
from labq.cli.waiting import worst
from labq.states import FINAL

#: Modules that cost more than a millisecond and that listing and submitting do not need.
EXPENSIVE = {
    "dataclasses", "inspect", "http.client", "urllib.request", "email", "ssl", "tomllib", "shutil", "locale", "subprocess",
    "datetime", "encodings.idna", "tarfile", "logging", "labq.spec", "labq.settings", "labq.job", "redis", "unicodedata",
    "labq.states", "pathlib", "uuid", "random", "importlib.metadata",
}  # fmt: skip


def test_the_overview_lists_every_verb_and_imports_none() -> None:
    program = (
        "import sys; from labq.cli import run; status = run([]);"
        "print(status, sorted(m for m in sys.modules if m.startswith(('labq.cli.', 'argparse'))), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for name in verbs.VERBS:
        assert f"\n  {name} " in done.stdout
    assert done.stderr.strip() == "0 ['labq.cli.verbs']"
    assert sorted(" ".join(names for _, names in verbs._GROUPS).split()) == sorted(verbs.VERBS)


@pytest.mark.parametrize(
    "argv", [["ls"], ["submit", "--image", "x", "--gpus", "1", "--", "true"], ["show", "1"], ["cancel", "1"]]
)
def test_a_start_imports_little(argv: list[str], tmp_path: Path) -> None:
    program = (
        "import sys, json; from labq.cli import run;"
        f"status = run({argv!r}); print(json.dumps([status, sorted(sys.modules)]))"
    )
    env = {
        "HOME": str(tmp_path),
        "LABQ_SERVER": "http://127.0.0.1:9",
        "LABQ_TOKEN": "x",
        "PATH": "/bin:/usr/bin",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env, cwd=tmp_path
    )
    status, modules = json.loads(done.stdout)
    assert status == errors.UnavailableError.exit_status
    assert not EXPENSIVE & set(modules)


def test_every_verb_has_a_module_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in verbs.VERBS:
        assert cli.run([name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert f"usage: labq {name}" in shown
        assert "--server" in shown
        assert cli.run(["help", name]) == 0
        assert capsys.readouterr().out == shown


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (["lss"], 2, ["'lss'", "did you mean `labq ls`?"]),
        (["stop"], 2, ["did you mean `labq cancel`?"]),
        (["ps"], 2, ["did you mean `labq ls`?"]),
        (["submit", ".", "--follow=yes"], 64, ["--follow takes no value, not 'yes'"]),
        (["ls", "--tag"], 2, ["--tag needs a value"]),
        (["submit", __file__], 2, ["test_main.py is a file; give the directory that holds the Dockerfile"]),
        (["xyzzy"], 2, ["'xyzzy'", "labq --help"]),
        (["ls", "--limitt", "3"], 2, ["'--limitt'", "did you mean --limit?"]),
        (["ls", "--limit", "many"], 2, ["'many'", "whole number"]),
        (["ls", "extra"], 2, ["'extra'"]),
        (["show"], 2, ["ID"]),
        (["logs", "12", "--stdout", "--stderr"], 2, ["not allowed"]),
        (["logs", "12", "-f", "--attempt", "1"], 2, ["exclude each other"]),
        (["show", "abc"], 2, ["'abc' is not a job id"]),
        (["submit"], 2, ["labq submit DIR"]),
        (["submit", "--image", "x", "python"], 2, ["'python'", "behind `--`"]),
        (["submit", ".", "--image", "x"], 2, ["both a directory"]),
        (["submit", "--image", "x", "--follow", "--array", "0-3"], 64, ["--follow"]),
        (["submit", "--image", "x", "--follow", "--json"], 64, ["--follow"]),
        (["submit", "--image", "x", "y", "--", "sh", "-f"], 2, ["'y'"]),
        (["completion", "tcsh"], 2, ["'tcsh'", "bash"]),
        (["user", "ad"], 2, ["did you mean add?"]),
        (["user", "add", "x"], 2, ["--uid"]),
        (["wait", "1", "--timeout", "soon"], 64, ["'soon'"]),
        (["wait", "abc"], 64, ["'abc' is not a job id"]),
        (["up", "--gpus", "many"], 2, ["'many'", "sim:"]),
        (["up", "--port", "0"], 2, ["port 0"]),
        (["ls", "--server", "ftp://x"], 2, ["'ftp://x'"]),
        (["ls", "--server", "http://127.0.0.1:9"], 69, ["http://127.0.0.1:9", "labq up", "LABQ_SERVER"]),
    ],
)  # fmt: skip
def test_errors_say_what_and_what_next(
    argv: list[str], status: int, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(argv) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert "\n  next: " in err
    assert "Traceback" not in err
    for part in said:
        assert part in err


def test_a_fault_of_labq_itself_shows_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LABQ_DEBUG", raising=False)
    monkeypatch.setattr(verbs, "load", lambda name: 1 / 0)
    assert cli.run(["ls"]) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err
    monkeypatch.setenv("LABQ_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.run(["ls"])


@pytest.mark.parametrize(
    ("raised", "status"), [(KeyboardInterrupt(), 130), (OSError(13, "Permission denied", "out"), 1)]
)
def test_interrupts_and_the_systems_errors(
    raised: BaseException, status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise raised

    monkeypatch.setattr(verbs, "load", fail)
    assert cli.run(["ls"]) == status
    err = capsys.readouterr().err
    assert err == ("" if status == 130 else "error: out: Permission denied\n")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["version"], ["--version"], ["-V"]):
        assert cli.run(argv) == 0
        assert capsys.readouterr().out.startswith("labq 0.")


@pytest.mark.parametrize(
    ("states", "status"),
    [([], 0), (["succeeded"], 0), (["succeeded", "cancelled"], 2), (["cancelled", "failed", "succeeded"], 1), (["failed"], 1)],
)  # fmt: skip
def test_several_jobs_give_the_worst_status(states: list[str], status: int) -> None:
    assert worst([{"state": state} for state in states], STATUS) == status
    assert set(STATUS) == {str(state) for state in FINAL}
