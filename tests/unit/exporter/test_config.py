"""The exporter's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from labq.errors import BadInputError
from labq.settings import Settings
from labq_exporter.config import ExporterConfig, read_config


def config(**said: str) -> ExporterConfig:
    return read_config(Settings({**{"engines": "/run/one.sock"}, **said}))


def test_without_settings_it_listens_on_loopback_and_looks_every_second() -> None:
    found = config()
    assert (found.host, found.port, found.interval, found.web_config, found.gpus_expected) == (
        "127.0.0.1", 9746, 1.0, None, None,
    )  # fmt: skip


def test_what_is_said_is_taken() -> None:
    found = config(
        exporter_interval="0.5", exporter_port="0", gpus_expected="8", exporter_web_config="/x.yml"
    )
    assert (found.interval, found.port, found.gpus_expected, found.web_config) == (0.5, 0, 8, Path("/x.yml"))
    assert found.engines == ("/run/one.sock",)


@pytest.mark.parametrize(
    ("name", "value", "quoted"),
    [
        ("exporter_interval", "20s", "LABQ_EXPORTER_INTERVAL='20s'"),
        ("exporter_interval", "0.01", "LABQ_EXPORTER_INTERVAL='0.01'"),
        ("exporter_interval", "soon", "soon"),
        ("exporter_port", "65536", "LABQ_EXPORTER_PORT='65536'"),
        ("exporter_port", "", "LABQ_EXPORTER_PORT=''"),
        ("run_dir", "", "LABQ_RUN_DIR=''"),
        ("run_dir", "/run/\0", "LABQ_RUN_DIR="),
        ("exporter_port", "-1", "LABQ_EXPORTER_PORT='-1'"),
        ("exporter_port", "http", "LABQ_EXPORTER_PORT='http'"),
        ("gpus_expected", "all", "LABQ_GPUS_EXPECTED='all'"),
        ("gpus_expected", "9999", "LABQ_GPUS_EXPECTED='9999'"),
        ("gpus_expected", "²", "LABQ_GPUS_EXPECTED='²'"),
    ],
)
def test_what_makes_no_sense_is_quoted_and_told_what_is_legal(name: str, value: str, quoted: str) -> None:
    with pytest.raises(BadInputError, match=quoted) as caught:
        config(**{name: value})
    assert caught.value.next


def test_a_port_that_is_none_is_told_which_are_legal() -> None:
    with pytest.raises(BadInputError) as caught:
        config(exporter_port="-1")
    assert "from 0 to 65535" in (caught.value.next or "")
