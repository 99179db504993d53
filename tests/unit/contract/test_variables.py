"""Files of variables: read as systemd reads them, and what is wrong in them is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from labq.errors import BadInputError
from labq.variables import check_variables, read_files, read_variables
from labq_worker.__main__ import main


def test_a_file_is_read_as_systemd_reads_it() -> None:
    text = (
        "# a comment\n; another\n\n  LABQ_NODE = gpu05 \n"
        'LABQ_MOUNTS="/data:ro,/scratch:rw"\nA=\'single $x "y"\'\nB="a \\"quote\\", \\$5 and \\\\"\nC=\nD=a#b\n'
    )
    assert read_variables(text, "x") == {
        "LABQ_NODE": "gpu05",
        "LABQ_MOUNTS": "/data:ro,/scratch:rw",
        "A": 'single $x "y"',
        "B": 'a "quote", $5 and \\',
        "C": "",
        "D": "a#b",
    }


@pytest.mark.parametrize("text", ["export A=1", "no sign", 'A="open', 'A="open\\"', 'A="a"b"', "9=1"])
def test_a_line_that_is_no_variable_is_refused_with_its_number(text: str) -> None:
    with pytest.raises(BadInputError, match=r"worker\.env, line 2"):
        read_variables("A=1\n" + text, "worker.env")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("LABQ_NODE_LABLES", "did you mean LABQ_NODE_LABELS?"),
        ("LABQ_PORT", "read by server"),
        ("LABQ_TOKEN_FILE", "read by client"),
        ("LABQ_SERVER_FILE", "no setting of labq-worker"),
    ],
)
def test_a_variable_that_the_agent_does_not_read_is_named(name: str, said: str) -> None:
    with pytest.raises(BadInputError) as found:
        check_variables({"LABQ_NODE": "n1", name: "1"}, "agent", "labq-worker")
    assert name in found.value.what
    assert said in str(found.value)


@pytest.mark.parametrize(("name", "value"), [("LABQ_BUILDS", "two"), ("LABQ_SHARED_FILES", "yes")])
def test_a_value_that_has_not_the_form_of_its_kind_is_named(name: str, value: str) -> None:
    with pytest.raises(BadInputError, match=f"{name}='{value}'"):
        check_variables({name: value}, "agent", "labq-worker")


def test_what_is_not_ours_is_nobodys_business() -> None:
    check_variables(
        {"PATH": "/bin", "LABQ_NODE_TOKEN_FILE": "/x", "LABQ_CONFIG": "/y"}, "agent", "labq-worker"
    )


def test_a_later_file_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "a.env", tmp_path / "b.env"
    first.write_text("A=1\nB=1\n")
    second.write_text("B=2\n")
    assert read_files([str(first), str(second)]) == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("LABQ_NODE=n1\nLABQ_NODE_LABELS=rack=a", 0, ""),
        ("LABQ_NODE=no good", 2, "'no good'"),
        ("LABQ_NODE=server", 2, "labq calls its own server so"),
        ("LABQ_NODE_LABELS=rack", 2, "'rack'"),
        ("LABQ_MOUNT=/data", 2, "did you mean LABQ_MOUNTS?"),
    ],
)
def test_the_agent_says_what_is_wrong_in_its_file_before_it_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, status: int, said: str
) -> None:
    path = tmp_path / "worker.env"
    path.write_text(line + "\n")
    assert main(["--check-config", str(path)]) == status
    assert said in capsys.readouterr().err
