"""Where a node says that Prometheus finds it."""

from __future__ import annotations

import pytest

from labq.errors import BadInputError
from labq.settings import Settings
from labq_worker.config import read_config
from labq_worker.machine import address_towards


def said(address: str) -> str:
    env = {"LABQ_CONFIG": "/nonexistent", "LABQ_REDIS_URL": "redis://h", "LABQ_NODE_ADDRESS": address}
    return read_config(Settings(env=env), "n1").address


@pytest.mark.parametrize("address", ["", "10.0.0.5", "gpu01.lab", "fd00::5", "[fd00::5]", "exporter"])
def test_a_name_or_an_address_is_taken_as_it_is(address: str) -> None:
    assert said(address) == address


@pytest.mark.parametrize("address", ["gpu01:9746", "10.0.0.5:9746", "http://gpu01", "gpu 01", "-x", "a/b"])
def test_a_port_or_a_url_is_refused(address: str) -> None:
    with pytest.raises(BadInputError, match=r"LABQ_NODE_ADDRESS=.* is not legal"):
        said(address)


def test_it_is_the_address_from_which_the_server_hears_it() -> None:
    assert address_towards("http://127.0.0.1:7580") == "127.0.0.1"
    assert address_towards("http://127.0.0.77") == "127.0.0.1"


@pytest.mark.parametrize("server", ["", "nonsense", "http://[::1", "http://h:99999", "http://" + "a" * 300])
def test_a_server_that_is_no_address_gives_none_and_stops_nothing(server: str) -> None:
    assert address_towards(server) == ""
