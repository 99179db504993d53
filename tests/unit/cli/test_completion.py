"""The completion scripts are legal, and know every verb, flag and how to find job ids."""

import shutil
import subprocess

import pytest
from support.need import need

from labq import cli
from labq.cli import verbs


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.run(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_names_verbs_flags_and_ids(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, capsys)
    for name in verbs.VERBS:
        assert name in text
    assert "not-before" in text
    assert "labq ls --ids" in text
    assert "report-fd" not in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_reads_it(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    if shell == "bash":
        need(shutil.which(shell), shell)
    elif shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    done = subprocess.run(
        [shell, "-n"], input=script(shell, capsys), text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("labq su", ["submit"]),
        ("labq submit --gp", ["--gpus"]),
        ("labq show 1", ["12", "13.1"]),
        ("labq ls --sta", ["--state"]),
    ],
)
def test_bash_completes(line: str, expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = line.split(" ")
    array = " ".join(f"'{word}'" for word in words)
    program = (
        f"labq() {{ printf '12\\n13.1\\n'; }}\n{script('bash', capsys)}\n"
        f"COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; _labq; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "-c", program], text=True, capture_output=True, check=True)
    assert done.stdout.split() == expected
