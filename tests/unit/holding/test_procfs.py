"""A proc filesystem made of files: what no kernel can be asked to do on demand."""

import os
from pathlib import Path

import pytest

from labq.holding.procfs import REFRESH, Procfs

TICKS = os.sysconf("SC_CLK_TCK")


class FakeProc:
    """A directory that looks like /proc."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "stat").write_text("cpu 1 2 3\nbtime 1700000000\nprocesses 9\n")

    def add(
        self, pid: int = 7, *, name: str = "python", start: int = 500, uid: int = 1001,
        login: str | None = "4294967295", state: str = "S", threads: int = 1, cgroup: str = "0::/\n",
    ) -> None:  # fmt: skip
        home = self.root / str(pid)
        home.mkdir(exist_ok=True)
        between = " ".join(["0"] * 16)  # fields 4 to 19
        fields = between.split()
        (home / "stat").write_text(
            f"{pid} ({name}) {state} {' '.join(fields[:16])} {threads} 0 {start} 1 2\n"
        )
        (home / "status").write_text(f"Name:\t{name}\nUid:\t{uid}\t0\t0\t0\n")
        (home / "cgroup").write_text(cgroup)
        if login is not None:
            (home / "loginuid").write_text(login)


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path)


def test_a_process_is_read_with_its_real_uid_and_its_start(proc: FakeProc) -> None:
    proc.add(7, start=250, uid=1001, login="1002", cgroup=f"0::/docker/{'a' * 64}\n")
    found = Procfs(str(proc.root)).read(7)
    assert found is not None
    assert (found.pid, found.start, found.uid, found.loginuid) == (7, 250, 1001, 1002)
    assert found.started_at == pytest.approx(1700000000 + 250 / TICKS)
    assert found.cgroup.containers == ("a" * 64,)


@pytest.mark.parametrize("name", ["a b", "x) R 1 (y", ") S 1 1", "((", "tmux: server"])
def test_a_name_may_hold_spaces_and_parentheses(proc: FakeProc, name: str) -> None:
    proc.add(7, name=name, start=777)
    found = Procfs(str(proc.root)).read(7)
    assert found is not None
    assert found.start == 777


@pytest.mark.parametrize("login", ["4294967295", None, ""])
def test_an_audit_uid_that_nobody_set_is_none(proc: FakeProc, login: str | None) -> None:
    proc.add(7, login=login)
    found = Procfs(str(proc.root)).read(7)
    assert found is not None
    assert found.loginuid is None


def test_a_zombie_is_gone_but_a_dead_first_thread_is_not(proc: FakeProc) -> None:
    proc.add(7, state="Z")
    proc.add(8, state="X")
    proc.add(9, state="Z", threads=3)
    reader = Procfs(str(proc.root))
    assert [reader.read(pid) is None for pid in (7, 8, 9, 10)] == [True, True, False, True]


def test_another_process_of_the_same_pid_is_another_process(proc: FakeProc) -> None:
    reader = Procfs(str(proc.root))
    proc.add(7, start=100, uid=1001)
    first = reader.read(7)
    proc.add(7, start=200, uid=1002)
    second = reader.read(7)
    assert first is not None
    assert second is not None
    assert ((first.start, first.uid), (second.start, second.uid)) == ((100, 1001), (200, 1002))


class Reborn(Procfs):
    """Finds another process under the pid as soon as the first file but ``stat`` was read."""

    def __init__(self, proc: FakeProc) -> None:
        super().__init__(str(proc.root))
        self._proc = proc

    def _file(self, pid: int, name: str) -> bytes | None:
        found = super()._file(pid, name)
        if name == "status":
            self._proc.add(pid, start=200, uid=1002)
        return found


def test_two_processes_are_never_mixed_into_one(proc: FakeProc) -> None:
    proc.add(7, start=100, uid=1001)
    reader = Reborn(proc)
    assert reader.read(7) is None
    later = reader.read(7)
    assert later is not None
    assert (later.start, later.uid) == (200, 1002)


def test_a_steady_process_costs_one_file_and_is_read_anew_after_a_while(proc: FakeProc) -> None:
    proc.add(7, uid=0)
    reader = Procfs(str(proc.root))
    assert reader.read(7) is not None
    proc.add(7, uid=1001)  # it dropped root's rights
    seen = [found.uid for _ in range(REFRESH + 1) if (found := reader.read(7))]
    assert seen == [0] * REFRESH + [1001]


def test_proc_that_must_not_be_read_is_an_error_not_a_death(proc: FakeProc) -> None:
    proc.add(7)
    (proc.root / "7" / "status").unlink()
    (proc.root / "7" / "status").mkdir()
    with pytest.raises(OSError, match="directory"):
        Procfs(str(proc.root)).read(7)
