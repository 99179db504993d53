"""Whose a podman container is: a real rootful podman, with and without its service."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.machine import Machine
from support.need import need
from support.people import People
from support.waiting import wait_for

from labq.holding.accounts import Accounts
from labq.holding.engines import Containers
from labq.holding.facts import Source
from labq.holding.owners import owner_of
from labq.holding.procfs import Procfs
from labq.holding.seal import OWNER_LABEL


class Podman:
    """A rootful podman of our own, with the one image that it needs."""

    def __init__(self, home: Path) -> None:
        self._command = [
            "podman", "--root", str(home / "root"), "--runroot", str(home / "run"), "--tmpdir", str(home / "tmp"),
            "--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs",
            "--events-backend", "file",
        ]  # fmt: skip

    def serve(self, path: Path) -> subprocess.Popen[bytes]:
        """Starts the service that speaks Docker's language, as podman.socket would."""
        service = subprocess.Popen(
            [*self._command, "system", "service", "--time", "0", f"unix://{path}"], stdin=subprocess.DEVNULL
        )
        wait_for(path.exists, 20, "podman to listen")
        return service

    def sleep(self, *options: str, loginuid: int | None = None) -> str:
        """Starts a container and returns its id. Raising its limits is more than tests in a container may do."""
        limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
        return self.run(
            "run", "-d", "--network", "none", *limits, *options, "localhost/sleep", "/bin/sleep", "600",
            loginuid=loginuid,
        )  # fmt: skip

    def run(self, *arguments: str, loginuid: int | None = None) -> str:
        login = (
            []
            if loginuid is None
            else ["sh", "-c", f'echo {loginuid} > /proc/self/loginuid; exec "$@"', "sh"]
        )
        result = subprocess.run(
            [*login, *self._command, *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert result.returncode == 0, f"podman {arguments}: {result.stderr}"
        return result.stdout.strip()


@pytest.fixture
def podman(scratch: Path) -> Iterator[Podman]:
    need(shutil.which("podman") and shutil.which("runc"), "podman and runc (apt-get install podman runc)")
    busybox = shutil.which("busybox")
    need(busybox, "busybox (apt-get install busybox-static)")
    (scratch / "files/bin").mkdir(parents=True)
    shutil.copy(str(busybox), scratch / "files/bin/sleep")
    subprocess.run(["tar", "-C", scratch / "files", "-cf", scratch / "image.tar", "."], check=True)
    made = Podman(scratch)
    made.run("import", str(scratch / "image.tar"), "localhost/sleep")
    yield made
    made.run("rm", "--all", "--force", "--time", "0")
    made.run("rmi", "--all", "--force")


def test_a_podman_container_keeps_the_login_that_it_was_started_from(
    machine: Machine, podman: Podman
) -> None:
    alice = machine.people.alice
    container = podman.sleep(loginuid=alice.uid)
    pid = int(json.loads(podman.run("inspect", container))[0]["State"]["Pid"])
    owner = machine.owner(pid)
    assert (owner.user, owner.source, owner.container_id) == (alice.name, Source.LOGINUID, container)


def test_podmans_service_is_an_engine_as_dockers_is(podman: Podman, people: People, scratch: Path) -> None:
    alice, bob = people.alice, people.bob
    early = podman.sleep("--name", "early", "-u", str(bob.uid))
    socket = scratch / "podman.sock"
    service = podman.serve(socket)
    containers = Containers([str(socket)])
    containers.start()

    def owner(container: str) -> tuple[str, Source, str]:
        wait_for(lambda: container in containers.known(), 10, "podman's container to be known")
        pid = int(json.loads(podman.run("inspect", container))[0]["State"]["Pid"])
        found = owner_of(Procfs().read(pid), containers.known(), {}, Accounts())
        assert found.container_id == container
        return found.user, found.source, found.disputed

    try:
        assert owner(early) == (bob.name, Source.UID, "")
        assert containers.known()[early].name == "early"
        mounted = podman.sleep("-v", f"{alice.home}:/work", loginuid=bob.uid)
        assert owner(mounted) == (alice.name, Source.MOUNT, "")
        forged = podman.sleep("--label", f"{OWNER_LABEL}={alice.name}", loginuid=bob.uid)
        disputed = f"its label says {alice.name}, but the login it was started from is {bob.name}'s"
        assert owner(forged) == (bob.name, Source.LOGINUID, disputed)
        assert containers.errors == 0
    finally:
        containers.stop()
        service.terminate()
        service.wait()
