from __future__ import annotations

import json
from typing import Any

import pytest
from builders import make_spec
from hypothesis import given
from hypothesis import strategies as st

from labq.errors import BadInputError
from labq.spec import BY_NAME, FIELDS, PRIORITIES, JobSpec, json_schema

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(
    lambda s: not s.startswith("LABQ_")
)
PATHS = st.from_regex(r"(/[a-z]{1,8}){1,3}", fullmatch=True).filter(
    lambda p: not p.startswith(("/outputs", "/proc", "/sys", "/dev", "/run"))
)
TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
WIRE = st.fixed_dictionaries(
    {"image": st.sampled_from(["busybox", "pytorch/pytorch:2.4.0", "reg.lab:5000/a/b@sha256:" + "0" * 64])},
    optional={
        "command": st.lists(TEXT, max_size=4),
        "env": st.dictionaries(NAMES, TEXT, max_size=3),
        "gpus": st.sampled_from(["0", "2", "a100:2", "24GB+", "a100|h100:4", "share:8GB"]),
        "cpus": st.floats(0.01, 64).map(lambda x: round(x, 2)),
        "memory": st.sampled_from(["512MB", "16GB", "1.5TB", 10**9]),
        "disk": st.sampled_from(["1MB", "50GB", "1.5TB", 10**9]),
        "shm": st.sampled_from(["64MB", "8GB"]),
        "time": st.sampled_from(["90s", "2h30m", "1:30:00", 3600, "1.5h", 0.3333333, 1234567.25]),
        "grace": st.sampled_from(["1s", "5m"]),
        "mounts": st.lists(st.builds(lambda a, b: f"{a}:{b}:rw", PATHS, PATHS), max_size=1),
        "priority": st.sampled_from(PRIORITIES),
        "after": st.lists(st.sampled_from(["12", "any:13", "14.2"]), max_size=3),
        "not_before": st.sampled_from(["2026-12-01T22:00:00+09:00", "2027-01-01T00:00:00Z"]),
        "retries": st.integers(0, 100),
        "preemptible": st.booleans(),
        "nodes": st.lists(st.sampled_from(["n1", "!n2", "rack=a", "rack!=b"]), max_size=3),
        "name": st.sampled_from(["job", "学習-1", "a b", "x.y_z"]),
        "tags": st.lists(st.sampled_from(["a", "exp:1", "実験"]), max_size=3),
        "note": TEXT,
        "seed": st.integers(0, 2**31 - 1),
        "secrets": st.lists(st.sampled_from(["WANDB_API_KEY", "HF"]), max_size=2),
    },
)


@given(WIRE)
def test_a_spec_survives_the_wire_and_prints_the_form_that_it_reads(wire: dict[str, Any]) -> None:
    if set(wire.get("env", {})) & set(wire.get("secrets", [])):
        return
    spec = JobSpec.from_wire(wire)
    text = json.dumps(spec.to_wire())
    again = JobSpec.from_wire(json.loads(text))
    assert again == spec
    assert again.to_wire() == spec.to_wire()


@given(st.dictionaries(st.sampled_from(sorted(BY_NAME)), st.one_of(st.none(), st.text(max_size=5), st.integers(), st.floats(), st.booleans(), st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=3), st.none(), max_size=1))))  # fmt: skip
def test_any_json_is_a_spec_or_a_clear_error_never_a_traceback(wire: dict[str, Any]) -> None:
    try:
        JobSpec.from_wire(wire)
    except BadInputError as error:
        assert error.what


@pytest.mark.parametrize(
    ("wire", "says"),
    [
        ({"imag": "x"}, "unknown key 'imag'"),
        ({"image": "x", "context": "0" * 64}, "both an image"),
        ({}, "neither an image nor a build context"),
        ({"image": "UPPER"}, "'UPPER' is not an image reference"),
        ({"image": "x", "gpus": "-2"}, "GPU request '-2'"),
        ({"image": "x", "memory": "-4GB"}, "memory '-4GB' is not a size"),
        ({"image": "x", "memory": "99999999TB"}, "out of range"),
        ({"image": "x", "memory": "16"}, "did you mean 16GB?"),
        ({"image": "x", "memory": "9" * 400}, "out of range"),
        ({"image": "x", "disk": "-4GB"}, "disk '-4GB' is not a size"),
        ({"image": "x", "disk": "50"}, "did you mean 50GB?"),
        ({"image": "x", "cpus": "٣"}, "cpus"),
        ({"image": "x", "command": "a\0b"}, "is not text"),
        ({"image": "x", "env": {"A": "x" * 140_000}}, "longer than 127 KiB"),
        ({"image": "x", "not_before": "0001-01-01T00:00:00Z"}, "out of range"),
        ({"image": "x\n"}, "image reference"),
        ({"image": "x", "cpus": "nan"}, "cpus 'nan'"),
        ({"image": "x", "cpus": 1e9}, "cpus 1000000000.0"),
        ({"image": "x", "time": "0s"}, "out of range"),
        ({"image": "x", "time": "soon"}, "time limit 'soon' is not a duration"),
        ({"image": "x", "retries": 101}, "retries 101"),
        ({"image": "x", "retries": True}, "retries True"),
        ({"image": "x", "priority": "hgih"}, "priority 'hgih'"),
        ({"image": "x", "env": {"A-B": "1"}}, "variable name 'A-B'"),
        ({"image": "x", "env": {"LABQ_X": "1"}}, "set by labq itself"),
        ({"image": "x", "mounts": ["/a:/outputs"]}, "/outputs is taken"),
        ({"image": "x", "mounts": ["/a/../etc:/b"]}, "'/a/../etc'"),
        ({"image": "x", "mounts": ["/a:/d", "/b:/d"]}, "two mounts"),
        ({"image": "x", "name": "/etc"}, "name '/etc'"),
        ({"image": "x", "not_before": "2026-13-41T00:00:00Z"}, "2026-13-41"),
        ({"image": "x", "not_before": "tomorrow"}, "is not a moment"),
        ({"image": "x", "after": ["soon"]}, "'soon' is not a job id"),
        ({"image": "x", "command": "echo 'a"}, "No closing quotation"),
    ],
)
def test_bad_input_is_quoted(wire: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInputError) as caught:
        JobSpec.from_wire(wire, "labq.toml")
    assert says in str(caught.value)
    assert caught.value.what.startswith("labq.toml")


def test_the_closest_legal_key_is_named() -> None:
    with pytest.raises(BadInputError, match="did you mean 'memory'"):
        JobSpec.from_wire({"memroy": "1GB"})


def test_a_secret_value_given_as_a_name_is_not_quoted() -> None:
    with pytest.raises(BadInputError) as caught:
        JobSpec.from_wire({"image": "x", "secrets": ["hf_ABC-123="]})
    assert "hf_ABC" not in str(caught.value)


def test_the_repr_hides_the_environment() -> None:
    spec = make_spec(env={"TOKEN": "hunter2"})
    assert "hunter2" not in repr(spec)


def test_every_field_is_in_the_schema_with_a_legal_form() -> None:
    properties = json_schema()["properties"]
    assert set(properties) == {row.name for row in FIELDS} == set(JobSpec.__dataclass_fields__)
    assert all(row.form and row.help for row in FIELDS)


@pytest.mark.parametrize(
    ("key", "few", "many"),
    [
        ("nodes", [f"!n{n}" for n in range(256)], [f"!n{n}" for n in range(257)]),
        ("after", [str(n) for n in range(1, 1001)], [str(n) for n in range(1, 1002)]),
        ("gpus", "|".join(f"m{n}" for n in range(32)), "|".join(f"m{n}" for n in range(33))),
    ],
)
def test_a_list_that_every_decision_looks_at_is_short(key: str, few: object, many: object) -> None:
    assert JobSpec.from_wire({"image": "busybox", key: few})
    with pytest.raises(BadInputError, match=r"too many|33 models"):
        JobSpec.from_wire({"image": "busybox", key: many})
