"""Paths of /proc/<pid>/cgroup as engines and systemd write them."""

import pytest

from labq.holding.cgroups import parse_cgroup
from labq.holding.facts import CgroupFacts

A, B, C = "a" * 64, "b" * 64, "0123456789abcdef" * 4
USER = "/user.slice/user-1001.slice"
MANAGER = f"{USER}/user@1001.service"


@pytest.mark.parametrize(
    ("path", "facts"),
    [
        ("/", CgroupFacts()),
        ("/system.slice/ssh.service", CgroupFacts()),
        (f"/docker/{A}", CgroupFacts((A,))),
        (f"/docker/{A} (deleted)", CgroupFacts((A,))),
        (f"/../../docker/{A}", CgroupFacts((A,))),
        (f"/labq/alice/{A}", CgroupFacts((A,))),
        (f"/system.slice/docker-{A}.scope", CgroupFacts((A,), runtime="docker")),
        (f"/labq.slice/labq-alice.slice/docker-{A}.scope", CgroupFacts((A,), runtime="docker")),
        (f"/libpod_parent/libpod-{A}", CgroupFacts((A,), runtime="libpod")),
        (f"/machine.slice/libpod-{A}.scope", CgroupFacts((A,), runtime="libpod")),
        (f"/machine.slice/libpod-{A}.scope/container", CgroupFacts((A,), runtime="libpod")),
        (f"/machine.slice/libpod-{A}.scope/libpod-payload-{A}", CgroupFacts((A,), runtime="libpod")),
        (f"/machine.slice/libpod-conmon-{A}.scope", CgroupFacts()),
        (f"/libpod_parent/libpod-conmon-{A}", CgroupFacts()),
        (f"/kubepods.slice/kubepods-pod1.slice/cri-containerd-{A}.scope", CgroupFacts((A,), runtime="cri-containerd")),
        (f"/system.slice/kubepods-pod1.slice:cri-containerd:{A}", CgroupFacts((A,), runtime="cri-containerd")),
        (f"/kubepods/besteffort/pod1/{A}", CgroupFacts((A,))),
        (f"/docker/{A}/docker/{B}", CgroupFacts((B, A))),
        (f"/system.slice/docker-{A}.scope/docker/{B}", CgroupFacts((B, A))),
        (f"/docker/{A}/libpod_parent/libpod-{B}", CgroupFacts((B, A), runtime="libpod")),
        (f"/docker/{A}/docker/{B}/docker/{C}", CgroupFacts((C, B, A))),
        (f"{USER}/session-5.scope", CgroupFacts(slice_uid=1001)),
        (f"{MANAGER}/app.slice/jupyter.service", CgroupFacts(slice_uid=1001)),
        (f"{MANAGER}/app.slice/docker-{A}.scope", CgroupFacts((A,), 1001, "docker", 1001)),
        (f"{MANAGER}/user.slice/libpod-{A}.scope/container", CgroupFacts((A,), 1001, "libpod", 1001)),
        (f"{USER}/docker-{A}.scope", CgroupFacts((A,), 1001, "docker")),
        (f"/docker/{A}/user.slice/user-1002.slice/session-1.scope", CgroupFacts((A,))),
        (f"/docker/{A}/user.slice/user-1002.slice/user@1002.service/x", CgroupFacts((A,))),
        (f"/docker/{A[:-1]}", CgroupFacts()),
        (f"/docker/{A}0", CgroupFacts()),
        (f"/docker/{A.upper()}", CgroupFacts()),
        ("/user.slice/user-.slice/user-99999999999.slice", CgroupFacts()),
    ],
)  # fmt: skip
def test_a_path_says_which_containers_and_whose_session(path: str, facts: CgroupFacts) -> None:
    assert parse_cgroup(f"0::{path}\n") == facts


def test_version_1_has_a_row_for_each_controller() -> None:
    rows = "\n".join(
        f"{n}:{name}:/docker/{A}" for n, name in enumerate(("cpu,cpuacct", "name=systemd", "pids"))
    )
    assert parse_cgroup(rows) == CgroupFacts((A,))


def test_a_hybrid_host_may_know_the_container_on_some_hierarchies_only() -> None:
    text = f"9:name=systemd:{USER}/session-5.scope\n4:memory:/docker/{A}\n1:cpu:/\n0::/\n"
    assert parse_cgroup(text) == CgroupFacts((A,), 1001)


def test_the_longest_path_tells_the_nesting() -> None:
    assert parse_cgroup(f"4:memory:/docker/{A}\n0::/docker/{A}/docker/{B}\n").containers == (B, A)


def test_a_row_that_only_root_writes_is_believed_before_one_that_a_user_writes() -> None:
    text = f"9:name=systemd:{MANAGER}/docker-{B}.scope\n4:memory:/docker/{A}\n"
    assert parse_cgroup(text) == CgroupFacts((A,), 1001)


@pytest.mark.parametrize("text", ["", "\n", "nonsense", "0:", "0::", ":::::"])
def test_what_is_no_cgroup_file_says_nothing(text: str) -> None:
    assert parse_cgroup(text) == CgroupFacts()
