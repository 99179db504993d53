"""A secret may stand in a file of its own: LABQ_<NAME>_FILE."""

from __future__ import annotations

from pathlib import Path

import pytest

from labq.errors import BadInputError
from labq.settings import SETTINGS, Setting, Settings

SECRETS = [row for row in SETTINGS if row.kind == "secret"]


@pytest.fixture
def config(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose configuration file is not the tester's own."""
    return {"LABQ_CONFIG": str(tmp_path / "none.toml")}


def put(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("row", SECRETS, ids=[row.name for row in SECRETS])
def test_every_secret_is_read_from_a_file_without_its_line_end(
    row: Setting, tmp_path: Path, config: dict[str, str]
) -> None:
    name = row.name
    path = put(tmp_path / "secret", "redis://:p w@h:1/0\n")
    assert Settings(env=config | {f"LABQ_{name.upper()}_FILE": path}).text(name) == "redis://:p w@h:1/0"


def test_only_one_line_end_is_taken_away_and_spaces_stay(tmp_path: Path, config: dict[str, str]) -> None:
    path = put(tmp_path / "secret", " token \r\n")
    assert Settings(env=config | {"LABQ_TOKEN_FILE": path}).text("token") == " token "


def test_a_setting_that_is_no_secret_has_no_file(tmp_path: Path, config: dict[str, str]) -> None:
    path = put(tmp_path / "port", "9")
    assert Settings(env=config | {"LABQ_PORT_FILE": path}).number("port") == 7580


def test_a_secret_given_twice_is_refused_and_not_shown(tmp_path: Path, config: dict[str, str]) -> None:
    env = config | {"LABQ_TOKEN_FILE": put(tmp_path / "secret", "hidden-a"), "LABQ_TOKEN": "hidden-b"}
    with pytest.raises(BadInputError, match="LABQ_TOKEN and LABQ_TOKEN_FILE are both set") as caught:
        Settings(env=env).text("token")
    assert "hidden" not in str(caught.value)


def test_an_empty_variable_beside_the_file_is_not_a_second_value(
    tmp_path: Path, config: dict[str, str]
) -> None:
    env = config | {"LABQ_TOKEN_FILE": put(tmp_path / "secret", "a"), "LABQ_TOKEN": ""}
    assert Settings(env=env).text("token") == "a"


def test_an_empty_file_variable_says_nothing(config: dict[str, str]) -> None:
    assert Settings(env=config | {"LABQ_TOKEN_FILE": "", "LABQ_TOKEN": "b"}).text("token") == "b"


def test_a_flag_wins_over_the_file(tmp_path: Path, config: dict[str, str]) -> None:
    env = config | {"LABQ_TOKEN_FILE": put(tmp_path / "secret", "a")}
    assert Settings({"token": "flag"}, env).text("token") == "flag"


def test_the_file_wins_over_the_configuration(tmp_path: Path) -> None:
    config = put(tmp_path / "config.toml", 'token = "c"\n')
    env = {"LABQ_CONFIG": config, "LABQ_TOKEN_FILE": put(tmp_path / "secret", "a")}
    assert Settings(env=env).text("token") == "a"


@pytest.mark.parametrize("text", ["hidden\nhidden\n", "\nhidden", "hidden\n\n"])
def test_a_file_with_more_than_one_line_is_refused_and_not_shown(
    text: str, tmp_path: Path, config: dict[str, str]
) -> None:
    env = config | {"LABQ_TOKEN_FILE": put(tmp_path / "secret", text)}
    with pytest.raises(BadInputError, match=r"LABQ_TOKEN_FILE=.* has more than one line") as caught:
        Settings(env=env).text("token")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n", "\r\n"])
def test_an_empty_file_is_an_empty_value(text: str, tmp_path: Path) -> None:
    config = put(tmp_path / "config.toml", 'token = "c"\n')
    env = {"LABQ_CONFIG": config, "LABQ_TOKEN_FILE": put(tmp_path / "secret", text)}
    assert Settings(env=env).text("token") == ""


def test_a_file_that_is_not_there_is_named(tmp_path: Path, config: dict[str, str]) -> None:
    env = config | {"LABQ_REDIS_URL_FILE": str(tmp_path / "gone")}
    with pytest.raises(BadInputError, match=r"LABQ_REDIS_URL_FILE=.*gone: No such file"):
        Settings(env=env).text("redis_url")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path, config: dict[str, str]) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInputError, match="it is no text"):
        Settings(env=config | {"LABQ_TOKEN_FILE": str(tmp_path / "secret")}).text("token")
