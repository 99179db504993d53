"""Processor time and memory from trees of cgroups, as kernels and engines make them."""

from __future__ import annotations

from pathlib import Path

import pytest

from labq_exporter.cgroup_usage import Cgroups, CgroupUse

A, B, C = "a" * 64, "b" * 64, "c" * 64


class Tree:
    """Files of one kind of hierarchy below a directory."""

    def __init__(self, root: Path, *, unified: bool) -> None:
        self.root, self.unified = root, unified
        root.mkdir()
        if unified:
            (root / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")

    def add(self, path: str, *, cpu: float, used: int, inactive: int = 0) -> None:
        if self.unified:
            self._write(
                path,
                {
                    "cpu.stat": f"usage_usec {int(cpu * 1e6)}\nuser_usec 1\nsystem_usec 2\n",
                    "memory.current": f"{used}\n",
                    "memory.stat": f"anon 1\nfile 2\ninactive_file {inactive}\nactive_file 3\n",
                },
            )
            return
        self._write(f"cpu,cpuacct/{path}", {"cpuacct.usage": f"{int(cpu * 1e9)}\n"})
        stat = f"cache 5\ninactive_file 1\ntotal_cache 9\ntotal_inactive_file {inactive}\n"
        self._write(f"memory/{path}", {"memory.usage_in_bytes": f"{used}\n", "memory.stat": stat})

    def _write(self, path: str, files: dict[str, str]) -> None:
        folder = self.root / path
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text)

    def look(self) -> dict[str, CgroupUse]:
        return {use.path: use for use in Cgroups(self.root).look()}


@pytest.fixture
def v1(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "v1", unified=False)


@pytest.fixture
def v2(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "v2", unified=True)


def test_version_1_with_the_cgroupfs_driver(v1: Tree) -> None:
    v1.add(f"docker/{A}", cpu=1.5, used=1000, inactive=400)
    assert v1.look() == {f"docker/{A}": CgroupUse(f"docker/{A}", A, None, None, 1.5, 600)}


def test_version_2_with_the_systemd_driver_and_a_login(v2: Tree) -> None:
    v2.add(f"system.slice/docker-{A}.scope", cpu=2.0, used=5000, inactive=6000)
    v2.add("user.slice/user-1001.slice", cpu=7.0, used=70)
    v2.add("user.slice/user-1001.slice/session-5.scope", cpu=6.0, used=60)
    found = v2.look()
    # Pages that could be dropped may be counted a moment after the whole: never below nothing.
    assert found[f"system.slice/docker-{A}.scope"].memory == 0
    assert found["user.slice/user-1001.slice"] == CgroupUse(
        "user.slice/user-1001.slice", "", 1001, None, 7.0, 70
    )
    assert len(found) == 2


def test_podman_of_root_with_both_drivers_without_its_monitor(v2: Tree) -> None:
    v2.add(f"libpod_parent/libpod-{A}", cpu=1.0, used=1)
    v2.add(f"machine.slice/libpod-{B}.scope", cpu=2.0, used=2)
    v2.add(f"machine.slice/libpod-{B}.scope/container", cpu=2.0, used=2)
    v2.add(f"machine.slice/libpod-conmon-{B}.scope", cpu=3.0, used=3)
    assert {use.container: use.cpu for use in v2.look().values()} == {A: 1.0, B: 2.0}


def test_a_container_of_an_engine_in_a_container_is_part_of_the_outer_one(v1: Tree) -> None:
    v1.add(f"docker/{A}", cpu=9.0, used=9)
    v1.add(f"docker/{A}/docker/{B}", cpu=4.0, used=4)
    assert [use.container for use in v1.look().values()] == [A]


def test_a_rootless_container_is_in_its_persons_slice_and_below_his_manager(v2: Tree) -> None:
    slice_ = "user.slice/user-1001.slice"
    v2.add(slice_, cpu=8.0, used=8)
    v2.add(f"{slice_}/user@1001.service/user.slice/libpod-{C}.scope", cpu=5.0, used=5)
    v2.add(f"{slice_}/docker-{A}.scope", cpu=1.0, used=1)
    found = {use.container: (use.slice_uid, use.delegated) for use in v2.look().values()}
    assert found == {"": (1001, None), C: (1001, 1001), A: (1001, None)}


def test_a_slice_that_a_user_names_after_another_is_not_that_ones(v2: Tree) -> None:
    mine = "user.slice/user-1001.slice/user@1001.service"
    v2.add(f"{mine}/user-1002.slice", cpu=5.0, used=5)
    v2.add(f"{mine}/user@1002.service/x-{A}.scope", cpu=5.0, used=5)
    assert {(use.container, use.slice_uid, use.delegated) for use in v2.look().values()} == {(A, 1001, 1001)}


def test_a_controller_that_is_off_leaves_its_value_unknown(v2: Tree) -> None:
    v2.add(f"docker/{A}", cpu=1.0, used=1)
    for name in ("memory.current", "memory.stat"):
        (v2.root / "docker" / A / name).unlink()
    assert v2.look()[f"docker/{A}"].memory is None


def test_a_cgroup_that_ended_meanwhile_is_left_out(v2: Tree) -> None:
    v2.add(f"docker/{A}", cpu=1.0, used=1)
    for file in (v2.root / "docker" / A).iterdir():
        file.unlink()
    assert v2.look() == {}


def test_a_machine_without_cgroups_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cpuacct"):
        Cgroups(tmp_path).look()
