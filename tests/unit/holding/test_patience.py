"""A home on a server that is away keeps nobody waiting."""

from __future__ import annotations

import os
import pwd
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.waiting import wait_for

from labq.clock import monotonic
from labq.holding.accounts import Accounts
from labq.holding.patience import MOST, PATIENCE, NoAnswerYetError, Patience


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_kept_for_its_time_and_then_asked_anew() -> None:
    clock, asked = Clock(), []
    patience = Patience(60.0, clock)

    def question() -> int:
        asked.append(1)
        return len(asked)

    assert [patience.ask("a", question) for _ in range(3)] == [1, 1, 1]
    clock.now = 61.0
    assert patience.ask("a", question) == 2


def test_while_it_hangs_the_last_answer_stands_and_it_is_asked_only_once() -> None:
    clock, release, asked = Clock(), threading.Event(), []
    patience = Patience(60.0, clock)
    assert patience.ask("a", lambda: "alice") == "alice"
    clock.now = 61.0

    def hang() -> str:
        asked.append(1)
        release.wait(20)
        return "bob"

    began = monotonic()
    assert [patience.ask("a", hang) for _ in range(5)] == ["alice"] * 5
    assert monotonic() - began < 4 * PATIENCE
    assert len(asked) == 1
    release.set()
    wait_for(lambda: patience.ask("a", hang) == "bob", 10, "the answer that came late")


def test_however_many_hang_the_others_are_answered_until_there_are_too_many() -> None:
    release = threading.Event()
    patience = Patience(60.0, Clock())

    def hang() -> bool:
        return release.wait(20)

    def ask(key: int | str) -> None:
        with suppress(NoAnswerYetError):
            patience.ask(key, hang)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(MOST - 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert patience.ask("well", lambda: 1) == 1
    ask("last")
    with pytest.raises(NoAnswerYetError):
        patience.ask("too many", lambda: 1)
    release.set()

    def answered() -> bool:
        with suppress(NoAnswerYetError):
            return patience.ask("too many", lambda: 1) == 1
        return False

    wait_for(answered, 10, "room for another question")


def test_no_answer_yet_is_told_from_every_answer_and_a_question_may_say_so_itself() -> None:
    patience = Patience(60.0, Clock())

    def undecided() -> str:
        raise NoAnswerYetError

    with pytest.raises(NoAnswerYetError):
        patience.ask("a", undecided)
    assert patience.ask("a", lambda: None) is None
    assert patience.ask("b", lambda: "alice") == "alice"


def test_a_question_that_fails_fails_where_it_was_asked() -> None:
    with pytest.raises(KeyError):
        Patience(60.0, Clock()).ask("a", lambda: os.environ["LABQ_THERE_IS_NO_SUCH"])


def test_a_home_on_a_hung_server_names_nobody_and_a_look_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    release, lstat = threading.Event(), os.lstat

    def hung(path: Any, *args: Any, **kwargs: Any) -> os.stat_result:
        if str(path).startswith("/hung"):
            release.wait(20)
        return lstat(path, *args, **kwargs)

    monkeypatch.setattr(os, "lstat", hung)
    began = monotonic()
    assert Accounts().home_owner("/hung/home/alice") is None
    assert monotonic() - began < 4 * PATIENCE
    release.set()


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A directory service that answers nothing until the returned function is called."""
    back, by_uid = threading.Event(), pwd.getpwuid

    def hung(uid: int) -> pwd.struct_passwd:
        back.wait(20)
        return by_uid(uid)

    monkeypatch.setattr(pwd, "getpwuid", hung)
    yield back.set
    back.set()


#: Uids that no account of this machine has.
STRANGERS = range(59000, 59000 + MOST)


def test_a_directory_service_that_says_nothing_makes_nobody_a_person_called_by_a_number(
    away: Callable[[], None],
) -> None:
    accounts = Accounts()
    with pytest.raises(NoAnswerYetError):
        accounts.name(STRANGERS[0])
    with pytest.raises(NoAnswerYetError):
        accounts.person(STRANGERS[0])
    away()

    def name() -> str:
        with suppress(NoAnswerYetError):
            return accounts.name(STRANGERS[0])
        return ""

    assert wait_for(name, 10, "the answer that came late") == f"uid:{STRANGERS[0]}"


@pytest.mark.usefixtures("away")
def test_however_many_accounts_hang_root_the_file_and_the_homes_are_known(tmp_path: Path) -> None:
    passwd = tmp_path / "passwd"
    passwd.write_text(f"root:x:0:0::/root:/bin/sh\nann:x:1234:1234::{tmp_path}:/bin/sh\n")
    os.chown(tmp_path, 1234, -1)
    accounts = Accounts(passwd=passwd)

    def ask(uid: int) -> None:
        with suppress(NoAnswerYetError):
            accounts.name(uid)

    threads = [threading.Thread(target=ask, args=(uid,)) for uid in STRANGERS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    began = monotonic()
    assert (accounts.name(0), accounts.name(1234)) == ("root", "ann")
    assert accounts.home_owner(str(tmp_path / "x")) == "ann"
    assert accounts.whole_home_owner(str(tmp_path / "x")) is None
    assert accounts.whole_home_owner(str(tmp_path)) == accounts.directory_owner(str(tmp_path)) == "ann"
    assert monotonic() - began < PATIENCE


def test_a_name_that_is_no_utf8_can_be_printed_and_its_home_is_still_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = os.fsencode(tmp_path) + b"/al\xffce"
    os.mkdir(home)
    os.chown(home, 1234, -1)
    row = pwd.struct_passwd(("al\udcffce", "x", 1234, 1234, "", os.fsdecode(home), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: row)
    accounts = Accounts()
    assert accounts.name(1234) == "al�ce"
    assert accounts.whole_home_owner(os.fsdecode(home)) == "al�ce"


@pytest.mark.parametrize("path", ["/home/\ud800", "/home/\udfff/x", "/home/x\0"])
def test_a_path_that_no_file_can_have_is_nobodys(path: str) -> None:
    accounts = Accounts()
    assert accounts.home_owner(path) is None
    assert accounts.directory_owner(path) is None
