"""Settings of the client, safe unpacking, and live news, without a server."""

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from labq import settings
from labq.cli.following import Follower, state_line
from labq.client import config
from labq.client.extract import extract
from labq.client.follow import Followed
from labq.errors import BadInputError, UnavailableError


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("LABQ_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_the_quick_reader_agrees_with_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert settings.BY_NAME["server"].default == config.DEFAULT_SERVER
    assert config.config_file() == str(settings.config_path())
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "x"))
    assert config.config_file() == str(settings.config_path())
    monkeypatch.setenv("LABQ_CONFIG", "~/c.toml")
    assert config.config_file() == str(settings.config_path())


@pytest.mark.parametrize(
    "text",
    [
        'server = "http://a:1"\ntoken = "t"\n',
        '# a remark\n\nserver="http://a:1"\n',
        "server = 'http://a:1'\n",
        'server = "http://a:1" # remark\n',
        'server = "http:\\u002f/a"\ntoken = "x"\nport = 7\n',
        'log_level = "debug"\nserver = "http://a:1"\n',
        "",
    ],
)
def test_a_file_means_the_same_to_both(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    monkeypatch.setenv("LABQ_CONFIG", str(file))
    found = settings.Settings()
    assert config.server_and_token(None, None) == (found.text("server"), found.text("token"))


@pytest.mark.parametrize("text", ['sever = "x"\n', "server = \n", "[x\n", 'server = "a"\nserver = "b"\n'])
def test_a_bad_file_is_named(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text(text)
    monkeypatch.setenv("LABQ_CONFIG", str(tmp_path / "config.toml"))
    with pytest.raises(BadInputError, match=r"config\.toml"):
        config.server_and_token(None, None)


def test_what_is_given_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text('server = "http://file"\ntoken = "file"\n')
    monkeypatch.setenv("LABQ_CONFIG", str(tmp_path / "config.toml"))
    assert config.server_and_token(None, None) == ("http://file", "file")
    monkeypatch.setenv("LABQ_SERVER", "http://env")
    assert config.server_and_token(None, None) == ("http://env", "file")
    assert config.server_and_token("http://flag", "t") == ("http://flag", "t")
    monkeypatch.setenv("LABQ_CONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("LABQ_SERVER")
    assert config.server_and_token(None, None) == (config.DEFAULT_SERVER, "")


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"x", mode: int = 0o644
) -> Any:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = (
        kind,
        link,
        len(data) if kind == tarfile.REGTYPE else 0,
        mode,
    )
    return info, data


def packed(*members: Any) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data) if info.size else None)
    return io.BytesIO(out.getvalue())


def test_outputs_land_in_their_directory_and_nowhere_else(tmp_path: Path) -> None:
    target, refused = tmp_path / "out", []
    (tmp_path / "outside").write_text("kept")
    stream = packed(
        member("./", tarfile.DIRTYPE), member("a/b/実験.txt"), member("read-only", mode=0o400), member("/absolute"),
        member("../outside", data=b"evil"), member("a/../../outside", data=b"evil"),
        member("up", tarfile.SYMTYPE, "../outside"), member("up", data=b"evil"), member("etc", tarfile.SYMTYPE, "/etc/passwd"),
        member("latest", tarfile.SYMTYPE, "/outputs/a/b"), member("a/here", tarfile.SYMTYPE, "b"),
        member("device", tarfile.CHRTYPE), member("pipe", tarfile.FIFOTYPE), member("hard", tarfile.LNKTYPE, "../outside"),
    )  # fmt: skip
    files = list(extract(stream, str(target), lambda name, why: refused.append(name)))
    assert (tmp_path / "outside").read_text() == "kept"
    assert {os.path.relpath(file, target) for file in files} >= {
        "a/b/実験.txt",
        "read-only",
        "latest",
        "a/here",
    }
    assert set(refused) >= {"/absolute", "../outside", "a/../../outside", "etc", "device", "pipe", "hard"}
    assert (target / "latest" / "実験.txt").read_text() == "x"
    assert not (tmp_path / "absolute").exists()
    assert (target / "up").read_text() == "evil"  # a plain file: the link was refused
    assert not (target / "up").is_symlink()


def test_a_second_fetch_replaces_files_and_does_not_write_through_links(tmp_path: Path) -> None:
    target = tmp_path / "out"
    for _ in range(2):
        list(
            extract(packed(member("f", data=b"new", mode=0o444), member("d/g")), str(target), lambda *_: None)
        )
    (tmp_path / "mine").write_text("mine")
    (target / "f").unlink()
    (target / "f").symlink_to(tmp_path / "mine")
    (target / "h").symlink_to("d/g")
    files = extract(packed(member("f", data=b"new"), member("h", data=b"new")), str(target), lambda *_: None)
    assert list(files) == [str(target / "f"), str(target / "h")]
    assert (tmp_path / "mine").read_text() == "mine"
    assert (target / "f").read_text() == "new"
    assert (target / "h").read_text() == "new"
    assert (target / "d" / "g").read_text() == "x"


def test_no_file_is_written_through_a_link_of_the_archive_or_of_an_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    target, refused = tmp_path / "out", []
    target.mkdir()
    (target / "x").symlink_to("../victim")  # however it got there
    stream = packed(
        member("x/pwn", data=b"evil"), member("d/e/u", tarfile.SYMTYPE, "../.."), member("d/e/u/pwn", data=b"evil"),
        member("y", tarfile.SYMTYPE, "d/e/u/../../victim"), member("y/pwn", data=b"evil"),
    )  # fmt: skip
    files = list(extract(stream, str(target), lambda name, why: refused.append(name)))
    assert refused == ["x/pwn", "d/e/u/pwn", "y"]  # y/pwn lands in a directory of its own
    assert list((tmp_path / "victim").iterdir()) == []
    assert [os.path.relpath(file, target) for file in files] == ["d/e/u", "y/pwn"]
    again = packed(member("x", tarfile.DIRTYPE), member("x/pwn", data=b"fine"))
    list(extract(again, str(target), lambda *_: None))
    assert (target / "x" / "pwn").read_text() == "fine"
    assert list((tmp_path / "victim").iterdir()) == []


def test_a_path_longer_than_the_kernel_takes_at_once_stays_inside(tmp_path: Path) -> None:
    """Realpath gives up on such paths without an error, which tarfile's own filters do not notice."""
    (tmp_path / "victim").mkdir()
    folders = "/".join(letter * 240 for letter in "abcdefghijklmnop")
    up = member(folders + "/up", tarfile.SYMTYPE, "../" * 16 + "../victim")
    deep = member(folders + "/here", data=b"deep")
    refused: list[str] = []
    list(extract(packed(up, deep), str(tmp_path / "out"), lambda name, why: refused.append(name)))
    assert refused == [up[0].name]
    assert list((tmp_path / "victim").iterdir()) == []


def test_a_stream_that_breaks_off_is_told(tmp_path: Path) -> None:
    whole = packed(member("big", data=bytes(100_000))).getvalue()
    for broken in (whole[:5000], b"no tar at all" * 100):
        with pytest.raises(UnavailableError, match="broke off"):
            list(extract(io.BytesIO(broken), str(tmp_path / "o"), lambda *_: None))


def news(kind: str, **body: Any) -> Followed:
    if "text" in body:
        from base64 import b64encode

        body["b64"] = b64encode(body.pop("text")).decode()
    return Followed(kind, body)


def follow(*items: Followed, **choice: Any) -> tuple[bytes, list[str], Follower]:
    out, notes = io.BytesIO(), list[str]()
    follower = Follower(out, notes.append, **choice)
    for item in items:
        follower.take(item)
    return out.getvalue(), notes, follower


def test_bytes_pass_unchanged_and_remarks_go_elsewhere() -> None:
    raw = b"50%\r100%\n\xff\xfe no utf-8 \x1b[31m"
    out, notes, follower = follow(
        news("state", id="3", state="queued", why="it waits for n1"),
        news("state", id="3", state="queued", why="it waits for n1"),
        news("build", stream="stdout", text=b"Step 1/2\nStep 2/2\n"),
        news("state", id="3", state="running", node="n1"),
        news("log", stream="stdout", text=raw),
        news("log", stream="stderr", text=b"e"),
        news("log", stream="labq", text=b"taken up again"),
        news("state", id="3", state="failed"),
        news("end", id="3", state="failed", verdict="Failed."),
    )
    assert out == raw + b"e"
    assert notes == [
        "job 3 waits: it waits for n1", "  | Step 1/2", "  | Step 2/2", "job 3 is running on n1", "\nlabq: taken up again",
    ]  # fmt: skip
    assert follower.final == {"id": "3", "state": "failed", "verdict": "Failed."}


def test_the_output_of_a_build_is_readable_and_whole_before_the_start() -> None:
    log = b"Step 1/2 : FROM a\n ---> 0123456789ab\n ---> Running in 0123456789ab\n\n\x1b[91mWARNING: pip\x1b[0m\n\x1b[0m"
    _, notes, _ = follow(
        news("state", id="3", state="queued", why="it is built"),
        news("build", text=log + b"Removing intermediate"),
        news("state", id="3", state="starting", node="n1", attempt=1),
        news("build", text=b" container 0123456789ab\n ---> Using cache\nSuccess"),
        news("state", id="3", state="running", node="n1"),
    )
    assert notes == [
        "job 3 waits: it is built", "building   [------------------------]  1/2  FROM a", "  | WARNING: pip", "  |  ---> Using cache", "  | Success",
        "job 3 is starting on n1", "job 3 is running on n1",
    ]  # fmt: skip


def test_a_retry_says_which_attempt_ended() -> None:
    _, notes, _ = follow(
        news("state", id="19", state="starting", node="n1", attempt=1),
        news("state", id="19", state="running", node="n1"),
        news("state", id="19", state="queued", why="Failed: exit code 1 after 2s."),
        news(
            "state",
            id="19",
            state="queued",
            why="attempt 1 ended (its command failed); it is tried again at noon",
            attempt=1,
        ),
        news("state", id="19", state="queued", why="n1 is full", attempt=1),
    )
    assert notes[2:] == [
        "job 19: attempt 1 ended (Failed: exit code 1 after 2s); it waits for the next",
        "job 19 waits: attempt 1 ended (its command failed); it is tried again at noon",
        "job 19 waits: n1 is full",
    ]


def test_one_stream_and_timestamps() -> None:
    items = [
        news("log", stream="stdout", t="T1", text=b"a\nb"),
        news("log", stream="stderr", t="T2", text=b"no"),
        news("log", stream="stdout", t="T3", text=b"c\nd\n"),
    ]
    assert follow(*items, stream="stdout")[0] == b"a\nbc\nd\n"
    assert follow(*items, stream="stdout", stamps=True)[0] == b"T1 a\nT1 bc\nT3 d\n"


def test_state_lines() -> None:
    assert state_line({"id": "1", "state": "succeeded"}) == ""
    assert state_line({"id": "1", "state": "queued", "why": "\x1b[2J"}) == "job 1 waits: �[2J"
    assert state_line({"id": "1", "state": "stopping"}) == "job 1 is stopping"
