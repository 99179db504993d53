"""The web-config file: who is let in, and what is refused."""

from __future__ import annotations

import base64
from pathlib import Path

import bcrypt
import pytest

from labq.errors import BadInputError
from labq_exporter.web_config import WebConfig

#: Four rounds: the least that bcrypt takes.
HASH = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()


def written(folder: Path, text: str) -> Path:
    path = folder / "web.yml"
    path.write_text(text)
    return path


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def guarded(tmp_path: Path) -> WebConfig:
    return WebConfig(written(tmp_path, f"basic_auth_users:\n  prometheus: {HASH}\n"))


def test_an_empty_file_lets_everybody_in_without_tls(tmp_path: Path) -> None:
    config = WebConfig(written(tmp_path, ""))
    assert config.tls is None
    assert config.lets_in("")


def test_name_and_password_open_the_page_again_and_again(guarded: WebConfig) -> None:
    assert all(guarded.lets_in(basic("prometheus", "right")) for _ in range(3))
    assert guarded.lets_in(basic("prometheus", "right").replace("Basic", "basic"))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        "Basic " + base64.b64encode(b"prometheus").decode(),
        "Bearer " + base64.b64encode(b"prometheus:right").decode(),
        basic("prometheus", "wrong"),
        basic("prometheus", ""),
        basic("prometheus", "right" + "x" * 100),
        basic("prometheus", "ri\0ght"),
        basic("somebody", "right"),
        basic("", "right"),
    ],
)
def test_nothing_else_opens_it(guarded: WebConfig, header: str) -> None:
    assert guarded.lets_in(basic("prometheus", "right"))
    assert not guarded.lets_in(header)


def test_what_is_remembered_of_good_passwords_is_bounded_and_is_not_the_password(guarded: WebConfig) -> None:
    guarded.lets_in(basic("prometheus", "right"))
    assert len(guarded._good) == 1
    assert b"right" not in b"".join(guarded._good)


def test_its_repr_says_no_secret(guarded: WebConfig) -> None:
    assert HASH not in repr(guarded)
    assert "web.yml" in repr(guarded)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "is no table"),
        ("a: {b", "is no YAML in line 1"),
        ("http_server_config: {}", "'http_server_config'"),
        ("basic_auth_users: [x]", "basic_auth_users is no table"),
        ("basic_auth_users: {p: secret}", "'p' is no bcrypt hash"),
        ("basic_auth_users: {p: $2b$10$secret}", "'p' is no bcrypt hash"),
        ("tls_server_config: x", "tls_server_config is no table"),
        ("tls_server_config: {cert_file: a}", "needs cert_file and key_file"),
        ("tls_server_config: {cert_file: a, key_file: b}", "cannot be used"),
        ("tls_server_config: {cert_file: a, key_file: b, min_version: TLS10}", "min_version 'TLS10' is not legal"),
        ("tls_server_config: {cert_file: a, key_file: b, client_auth_type: Perhaps}", "'Perhaps' is not legal"),
        ("tls_server_config: {cert_file: [1], key_file: b}", "cert_file [1] is no file name"),
        ("tls_server_config: {cert_file: a, key_file: 7}", "key_file 7 is no file name"),
        ('tls_server_config: {cert_file: "a\\0b", key_file: b}', r"cert_file 'a\x00b' is no file name"),
        ("tls_server_config: {cert_file: a, key_file: b, client_ca_file: {}, client_auth_type: [x]}", "['x'] is not legal"),
        ("[" * 5000, "is no YAML"),
        ("tls_server_config: {cipher_suites: []}", "'cipher_suites'"),
    ],
)  # fmt: skip
def test_what_it_does_not_know_it_refuses_by_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInputError) as caught:
        WebConfig(written(tmp_path, text))
    assert said in caught.value.what
    assert caught.value.next
    assert "secret" not in str(caught.value)


def test_a_name_that_no_file_can_have_is_told() -> None:
    with pytest.raises(BadInputError) as caught:
        WebConfig(Path("/etc/web\0.yml"))
    assert caught.value.what == "web config '/etc/web\\x00.yml' is no file name"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"nowhere\.yml: No such file"):
        WebConfig(tmp_path / "nowhere.yml")
