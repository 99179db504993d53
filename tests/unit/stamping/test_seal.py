"""The seal on an owner label, and the file with its key."""

import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labq.errors import BadInputError, NotFoundError
from labq.holding.seal import SealKey, read_key, seal, verify
from labq_exporter.stamping.keyfile import key_at

KEY = bytes(range(32))
NONCE = "0123456789abcdef" * 2


def test_a_seal_has_the_form_that_is_written_down() -> None:
    mac = hmac.new(KEY, f"{NONCE}\nalice".encode(), hashlib.sha256).hexdigest()
    assert seal(KEY, NONCE, "alice") == f"v1:{NONCE}:{mac}"


def test_a_seal_holds_for_its_owner_and_key_alone() -> None:
    stamp = seal(KEY, NONCE, "alice")
    assert verify(KEY, stamp, "alice") == NONCE
    assert verify(KEY, stamp, "bob") is None
    assert verify(b"x" * 32, stamp, "alice") is None


@pytest.mark.parametrize(
    "stamp", ["", "v1", "v2:" + "0" * 32 + ":" + "0" * 64, "v1:" + "0" * 32 + ":" + "é" * 64, "v1::\n"]
)
def test_what_is_no_seal_verifies_for_nobody(stamp: str) -> None:
    assert verify(KEY, stamp, "alice") is None


def test_an_upper_case_or_longer_copy_of_a_seal_is_none() -> None:
    stamp = seal(KEY, NONCE, "alice")
    assert verify(KEY, stamp.upper(), "alice") is None
    assert verify(KEY, stamp + "\n", "alice") is None


def test_a_key_is_made_once_for_root_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "stamp.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: key_at(path), range(32)))
    assert len(keys) == 1
    assert len(keys.pop()) == 32
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [found.name for found in path.parent.iterdir()] == ["stamp.key"]


def test_a_missing_open_or_short_key_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "stamp.key"
    with pytest.raises(NotFoundError):
        read_key(path)
    path.write_bytes(KEY)
    path.chmod(0o644)
    with pytest.raises(BadInputError, match="0644"):
        read_key(path)
    path.chmod(0o600)
    assert read_key(path) == KEY
    path.write_bytes(KEY[:5])
    with pytest.raises(BadInputError) as error:
        key_at(path)
    assert str(path) in error.value.next


def test_a_key_is_found_when_the_proxy_makes_it_and_forgotten_when_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "stamp.key"
    current = SealKey(path, every=0)
    assert current() is None
    made = key_at(path)
    assert current() == made
    path.unlink()
    assert current() is None


def test_a_key_is_read_no_more_often_than_it_must(tmp_path: Path) -> None:
    path = tmp_path / "stamp.key"
    current = SealKey(path, every=3600)
    assert current() is None
    key_at(path)
    assert current() is None


def test_a_key_that_others_could_read_does_not_count_and_is_told_once_each_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "stamp.key"
    current = SealKey(path, every=0)
    assert current() is None
    assert caplog.messages == []  # a machine without a proxy
    made = key_at(path)
    for mode, wanted in ((0o604, None), (0o604, None), (0o600, made), (0o604, None)):
        path.chmod(mode)
        assert current() == wanted
    assert [text.partition(":")[0] for text in caplog.messages] == ["seals do not count"] * 2
    assert made.hex() not in caplog.text
