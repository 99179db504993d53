"""What the proxy is told on its command line, and the names that it writes."""

from __future__ import annotations

import pwd

import pytest

from labq.holding.seal import new_nonce, seal, verify
from labq_exporter.stamping.__main__ import parser
from labq_exporter.stamping.caller import Names


@pytest.mark.parametrize("grace", ["nan", "-1", "inf", "soon", "", "1e9"])
def test_a_grace_that_is_no_time_is_refused_with_what_is_legal(
    grace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args([f"--grace={grace}"])
    assert caught.value.code == 2
    assert f"{grace!r} is not legal; write seconds from 0 to 3600" in capsys.readouterr().err


@pytest.mark.parametrize(("grace", "seconds"), [("0", 0.0), ("2.5", 2.5)])
def test_a_grace_is_taken(grace: str, seconds: float) -> None:
    assert parser().parse_args(["--grace", grace]).grace == seconds


def test_a_name_that_is_no_utf8_is_written_as_the_engine_will_give_it_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = pwd.struct_passwd(("al\udcffce", "x", 1234, 1234, "", "/home/x", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: row)
    name = Names().of(1234)
    assert name == "al\ufffdce"
    nonce = new_nonce(1.0)
    assert verify(bytes(32), seal(bytes(32), nonce, name), name) == nonce


def test_an_owner_that_nobody_can_write_has_no_seal_and_harms_nobody() -> None:
    assert verify(bytes(32), seal(bytes(32), "0" * 32, "alice"), "alice\ud800") is None
