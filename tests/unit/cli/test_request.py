"""Flags and labq.toml become the wire form that labq.spec reads."""

from pathlib import Path
from typing import Any

import pytest

from labq.cli import flags, project_file, request, submit
from labq.cli.parser import make, parse
from labq.errors import BadInputError
from labq.spec import FIELDS, JobSpec

NOW = 1_800_000_000.0


def order(
    *argv: str, file: dict[str, Any] | None = None, environ: dict[str, str] | None = None
) -> dict[str, Any]:
    """The spec that `labq submit argv` would send."""
    options = parse("submit", submit, list(argv))
    return request.spec_of(
        flags.given(options), file or {}, options.command, environ=environ or {}, now=NOW, default_name="dir"
    )


def test_the_static_table_has_a_flag_for_every_field() -> None:
    with_flag = {key for key, _ in flags.FLAGS.values()}
    assert with_flag | set(flags.WITHOUT_FLAG) == {row.name for row in FIELDS}
    assert not with_flag & set(flags.WITHOUT_FLAG)
    assert set(flags.KEYS) == {row.name for row in FIELDS}


def test_help_shows_the_texts_of_the_fields() -> None:
    text = make("submit", submit).format_help()
    for row in FIELDS:
        if row.name not in (*flags.WITHOUT_FLAG, "not_before"):
            assert row.help.split()[0] in text, row.name


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--image", "a/b:c"], {"image": "a/b:c"}),
        (["--gpus", "24GB+:2", "--cpus", "4", "--memory", "16GB"], {"gpus": "24GB+:2", "cpus": "4", "memory": "16GB"}),
        (["--env", "A=1", "--env", "B=x=y", "--env", "C="], {"env": {"A": "1", "B": "x=y", "C": ""}}),
        (["--env", "HERE"], {"env": {"HERE": "value"}}),
        (["--secret", "KEY", "--secret", "TOKEN=/x"], {"secrets": ["KEY", "TOKEN"]}),
        (["--mount", "/a:/b", "--mount", "/c:/d:rw"], {"mounts": ["/a:/b", "/c:/d:rw"]}),
        (["--after", "12,any:13", "--after", "14"], {"after": ["12", "any:13", "14"]}),
        (["--node", "!n1", "--node", "rack=a"], {"nodes": ["!n1", "rack=a"]}),
        (["--tag", "a,b", "--tag", "c"], {"tags": ["a", "b", "c"]}),
        (["--not-before", "2h"], {"not_before": "2027-01-15T10:00:00.000Z"}),
        (["--memory", "-4GB"], {"memory": "-4GB"}),
        (["--not-before", "+90"], {"not_before": "2027-01-15T08:01:30.000Z"}),
        (["--not-before", "2026-12-01T22:00:00Z"], {"not_before": "2026-12-01T22:00:00Z"}),
        (["--preemptible"], {"preemptible": True}),
        (["--no-preemptible"], {"preemptible": False}),
        (["--build-arg", "V=1"], {"build_args": {"V": "1"}}),
        (["--entrypoint", ""], {"entrypoint": ""}),
        (["--", "python", "-c", "print(1) -- --gpus"], {"command": ["python", "-c", "print(1) -- --gpus"]}),
        (["--name", "実験 1"], {"name": "実験 1"}),
    ],
)  # fmt: skip
def test_flags_become_the_wire_form(argv: list[str], expected: dict[str, Any]) -> None:
    spec = order(*argv, environ={"HERE": "value"})
    assert spec == {"name": "dir", **expected}
    if spec.get("memory") != "-4GB":  # and the server reads it
        JobSpec.from_wire(spec if "image" in spec else {"context": "0" * 64, **spec})


def test_flags_win_over_the_file_and_variables_are_merged() -> None:
    file = {
        "gpus": "1", "memory": "2GB", "env": {"A": "file", "B": "file"}, "secrets": ["ONE"], "tags": ["t"], "array": "0-3",
    }  # fmt: skip
    spec = order("--gpus", "2", "--env", "B=flag", "--secret", "TWO", "--tag", "u", file=file)
    assert spec == {
        "gpus": "2", "memory": "2GB", "env": {"A": "file", "B": "flag"}, "secrets": ["ONE", "TWO"], "tags": ["u"], "name": "dir",
    }  # fmt: skip


def test_a_list_of_variables_in_the_file_is_merged_too() -> None:
    assert order("--env", "B=2", file={"env": ["A=1"]})["env"] == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--env", "NOPE"], "NOPE"),
        (["--build-arg", "X"], "--build-arg 'X'"),
        (["--not-before", "2x"], "2x"),
        (["--"], "nothing behind `--`"),
        (["--gpu", "1"], "did you mean --gpus?"),
        (["dir", "python", "train.py"], "behind `--`"),
        (["--tag"], "--tag"),
    ],
)
def test_illegal_flags_are_quoted_with_what_to_do(argv: list[str], said: str) -> None:
    with pytest.raises(BadInputError) as caught:
        order(*argv)
    assert said in str(caught.value)
    assert caught.value.next


def test_secrets_come_from_environment_or_file_and_are_never_quoted(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("s3cret\n")
    values = request.secret_values(["A", "B"], [f"B={file}"], {"A": "env"})
    assert values == {"A": "env", "B": "s3cret"}
    with pytest.raises(BadInputError) as caught:
        request.secret_values(["C"], ["C=pasted-secret"], {})
    assert "pasted-secret" not in str(caught.value)
    with pytest.raises(BadInputError, match="'D'"):
        request.secret_values(["D"], [], {})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("my exp", "my exp"), (".hidden", "hidden"), ("a/b:c", "a-b-c"), ("", "job"), ("日本語", "日本語"),
        ("x" * 80, "x" * 63), ("-–-", "job"), ("a\nb", "a-b"),
    ],
)  # fmt: skip
def test_a_name_is_made_legal(text: str, name: str) -> None:
    assert request.legal_name(text) == name
    assert JobSpec.from_wire({"image": "any", "name": name}).name == name


@pytest.mark.parametrize("ref", ["busybox", "host:5000/lab/busybox", "lab/busybox:1@sha256:" + "0" * 64])
def test_an_image_gives_its_name(ref: str) -> None:
    assert request.image_name(ref) == "busybox"


def write(directory: Path, text: str) -> str:
    (directory / "labq.toml").write_text(text)
    return str(directory)


def test_the_file_says_what_the_spec_knows(tmp_path: Path) -> None:
    read = project_file.read(
        write(
            tmp_path,
            'gpus = "1"\ncpus = 2\nnot_before = 2026-12-01T22:00:00+09:00\narray = "0-3"\n[env]\nA = 1\n',
        )
    )
    assert read == {
        "gpus": "1", "cpus": 2, "not_before": "2026-12-01T22:00:00+09:00", "array": "0-3", "env": {"A": 1},
    }  # fmt: skip
    assert project_file.read(str(tmp_path / "none")) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpu = 1", "did you mean 'gpus'?"),
        ("not-before = 1", "did you mean 'not_before'?"),
        ("context = 'x'", "unknown key 'context'"),
        ("xyzzy = 1", "legal keys: "),
        ("gpus = ", "labq.toml"),
    ],
)
def test_a_bad_file_is_named_with_the_closest_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInputError) as caught:
        project_file.read(write(tmp_path, text))
    assert said in str(caught.value)
    assert str(tmp_path / "labq.toml") in str(caught.value)


def test_the_file_is_blamed_only_for_what_it_says() -> None:
    error = BadInputError("the request: memory: no size")
    assert project_file.blame(error, {"memory": "12zz"}, "d/labq.toml").what.startswith("d/labq.toml: memory")
    assert project_file.blame(error, {"gpus": "1"}, "d/labq.toml") is error
    assert project_file.blame(error, {}, "") is error
