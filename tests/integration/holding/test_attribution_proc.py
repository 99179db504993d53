"""Real /proc and real accounts where they are awkward: deaths, reuse of pids, zombies, links, ranges."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.need import need
from support.people import People
from support.waiting import wait_for

from labq.clock import now
from labq.holding.accounts import Accounts
from labq.holding.facts import ProcessFacts
from labq.holding.procfs import Procfs

PERSON = 40000  # a uid without an account, but in the range of people


def sleeper(uid: int = 0, seconds: str = "600") -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", seconds], user=uid, stdin=subprocess.DEVNULL)


def end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def test_this_process_is_read_as_it_is() -> None:
    before = now()
    child = sleeper(PERSON)
    try:
        found = Procfs().read(child.pid)
        assert found is not None
        assert (found.pid, found.uid) == (child.pid, PERSON)
        # The kernel tells the time of boot in whole seconds.
        assert before - 2 < found.started_at < now() + 2
    finally:
        end(child)


class Killing(Procfs):
    """Ends the process when a file of it is about to be read."""

    def __init__(self, child: subprocess.Popen[bytes], at: str) -> None:
        super().__init__()
        self._child, self._at = child, at

    def _file(self, pid: int, name: str) -> bytes | None:
        if name == self._at:
            end(self._child)
        return super()._file(pid, name)


@pytest.mark.parametrize("at", ["stat", "status", "cgroup", "loginuid"])
def test_a_process_that_dies_while_it_is_read_is_gone(at: str) -> None:
    child = sleeper()
    reader = Killing(child, at)
    assert reader.read(child.pid) is None
    assert reader.read(child.pid) is None


def test_a_zombie_is_gone() -> None:
    child = sleeper(seconds="0")
    wait_for(lambda: b") Z " in Path(f"/proc/{child.pid}/stat").read_bytes(), 10, "the zombie")
    assert Procfs().read(child.pid) is None
    child.wait()


def test_a_program_whose_first_thread_has_ended_is_alive() -> None:
    program = (
        "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(600,)).start();"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    child = subprocess.Popen([sys.executable, "-c", program], user=PERSON, stdin=subprocess.DEVNULL)
    try:
        wait_for(
            lambda: b") Z " in Path(f"/proc/{child.pid}/stat").read_bytes(), 10, "the first thread to end"
        )
        found = Procfs().read(child.pid)
        assert found is not None
        assert found.uid == PERSON
    finally:
        end(child)


def test_a_pid_that_is_used_again_is_another_process() -> None:
    last = Path("/proc/sys/kernel/ns_last_pid")
    need(os.access(last, os.W_OK), f"{last}")
    reader = Procfs()
    first = sleeper(PERSON)
    before = reader.read(first.pid)
    end(first)
    assert before is not None
    # The kernel counts starts in ticks of 10 ms; nobody can tell two processes of one pid within one tick.
    tick = (before.start + 2) / os.sysconf("SC_CLK_TCK")
    wait_for(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) > tick, 5, "the next tick")

    def born_again() -> subprocess.Popen[bytes] | None:
        last.write_text(str(first.pid - 1))
        child = sleeper(PERSON + 1)
        if child.pid == first.pid:
            return child
        end(child)
        return None

    second = wait_for(born_again, 30, "the pid to be given again")
    assert second is not None
    try:
        after = reader.read(second.pid)
        assert isinstance(before, ProcessFacts)
        assert isinstance(after, ProcessFacts)
        assert (before.pid, before.uid, after.uid) == (after.pid, PERSON, PERSON + 1)
        assert before.start < after.start
    finally:
        end(second)


def test_thirty_two_steady_processes_cost_less_than_two_milliseconds() -> None:
    children = [sleeper() for _ in range(32)]
    try:
        reader = Procfs()
        assert all(reader.read(child.pid) for child in children)
        looks = []
        for _ in range(20):
            began = time.perf_counter()
            for child in children:
                reader.read(child.pid)
            looks.append(time.perf_counter() - began)
        print(f"32 processes: best {min(looks) * 1e3:.2f} ms, worst {max(looks) * 1e3:.2f} ms")
        assert min(looks) < 0.002
    finally:
        for child in children:
            end(child)


def test_accounts_tell_people_from_services(people: People) -> None:
    accounts = Accounts()
    assert (accounts.name(0), accounts.person(0)) == ("root", None)
    assert accounts.person(people.alice.uid) == people.alice.name
    assert (accounts.name(PERSON), accounts.person(PERSON)) == (f"uid:{PERSON}", f"uid:{PERSON}")
    assert [accounts.person(uid) for uid in (1, 999, 65534, 100000, 4294967295, None)] == [None] * 6
    assert Accounts(people=range(1, 2**32)).person(65534) is None


def test_an_answer_is_kept_for_a_minute(people: People) -> None:
    clock = [0.0]
    accounts = Accounts(clock=lambda: clock[0])
    assert accounts.home_owner(str(people.bob.home)) == people.bob.name
    os.chown(people.bob.home, 0, -1)
    try:
        clock[0] = 59.0
        assert accounts.home_owner(str(people.bob.home)) == people.bob.name
        clock[0] = 61.0
        assert accounts.home_owner(str(people.bob.home)) is None
    finally:
        os.chown(people.bob.home, people.bob.uid, -1)


def test_ranges_of_uids_belong_to_people_by_name_or_number(people: People, tmp_path: Path) -> None:
    alice, bob = people.alice, people.bob
    file = tmp_path / "subuid"
    file.write_text(
        f"# made by hand\n\n{alice.name}:100000:65536\n{bob.uid}:165536:65536\n"
        f"{alice.name}:300000:10\n{bob.name}:300005:10\nroot:400000:10\nnobody-here:500000:10\nbroken:x:y\n"
    )
    accounts = Accounts(subuid=str(file))
    asked = (99999, 100000, 165535, 165536, 231072, 300004, 300005, 300010, 400001, 500001)
    assert [accounts.subuid_owner(uid) for uid in asked] == [
        None, alice.name, alice.name, bob.name, None, alice.name, None, bob.name, None, None,
    ]  # fmt: skip
    assert Accounts(subuid=str(tmp_path / "absent")).subuid_owner(100000) is None


def test_a_directory_is_its_owners_only_when_it_is_there_and_reached_honestly(people: People) -> None:
    alice, bob = people.alice, people.bob
    real = alice.home / "data"
    real.mkdir()
    os.chown(real, alice.uid, -1)
    (real / "file").touch()
    os.chown(real / "file", alice.uid, -1)
    for name, owner in (("by-bob", bob.uid), ("by-alice", alice.uid), ("by-root", 0)):
        link = bob.home / name
        link.symlink_to(real)
        os.lchown(link, owner, -1)
    loop = bob.home / "loop"
    loop.symlink_to("loop")
    accounts = Accounts()
    paths = {
        str(real): alice.name,
        f"{real}/": alice.name,
        f"{bob.home}/by-alice": alice.name,
        f"{bob.home}/by-root": alice.name,
        f"{bob.home}/by-bob": None,
        f"{bob.home}/loop": None,
        f"{real}/file": None,
        f"{real}/absent": None,
        f"{bob.home}/../{alice.home.name}/data": None,
        "data": None,
        "": None,
        "/": None,
        "/home": None,
        f"{real}\0": None,
        "C:\\work": None,
    }
    assert {path: accounts.directory_owner(path) for path in paths} == paths


def test_a_home_is_its_owners_by_passwd_and_on_disk(people: People, scratch: Path) -> None:
    alice, bob, carol = people.alice, people.bob, people.carol
    link = bob.home / "alices"
    link.symlink_to(alice.home)
    os.lchown(link, bob.uid, -1)
    lookalike = scratch / alice.name
    lookalike.mkdir()
    os.chown(lookalike, alice.uid, -1)
    accounts = Accounts()
    paths = {
        str(alice.home): alice.name,
        f"{alice.home}/a/b": alice.name,
        f"{alice.home}x": None,
        str(alice.home.parent): None,
        f"{link}/x": None,
        str(lookalike): None,
        "/root": None,
        f"{bob.home}/../{carol.home.name}": None,
    }
    assert {path: accounts.home_owner(path) for path in paths} == paths
    # Homes that an admin moved to a larger disk are still homes.
    moved = scratch / "carol"
    carol.home.rename(moved)
    carol.home.symlink_to(moved)
    try:
        fresh = Accounts()
        assert fresh.home_owner(f"{carol.home}/x") == carol.name
        assert fresh.home_owner(f"{moved}/x") == carol.name
        moved.chmod(0o755)
        os.chown(moved, bob.uid, -1)
        assert Accounts().home_owner(f"{carol.home}/x") is None
    finally:
        carol.home.unlink()
        os.chown(moved, carol.uid, -1)
        moved.rename(carol.home)
