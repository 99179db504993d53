"""Whose a podman container is: a real rootful podman, with and without its service."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.machine import Machine
from support.need import need
from support.people import People, Person
from support.waiting import wait_for

from labq.holding.accounts import Accounts
from labq.holding.engines import Containers
from labq.holding.facts import Source
from labq.holding.owners import owner_of
from labq.holding.procfs import Procfs
from labq.holding.seal import OWNER_LABEL


class Podman:
    """A podman of our own: root's, or a person's without any rights."""

    def __init__(self, home: Path, person: Person | None = None) -> None:
        self._home = home
        as_person = [] if person is None else [
            "setpriv", f"--reuid={person.uid}", f"--regid={person.uid}", "--init-groups",
            "env", f"HOME={person.home}", f"XDG_RUNTIME_DIR={home}/run",
        ]  # fmt: skip
        self._command = [
            *as_person, "podman", "--root", f"{home}/root", "--runroot", f"{home}/run", "--tmpdir", f"{home}/tmp",
            "--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs",
            "--events-backend", "file",
        ]  # fmt: skip

    def close(self) -> None:
        """Ends everything; a rootless podman leaves a process behind that keeps its namespace."""
        self.run("rm", "--all", "--force", "--time", "0")
        self.run("rmi", "--all", "--force")
        for found in self._home.rglob("pause.pid"):
            os.kill(int(found.read_text()), signal.SIGTERM)

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

    def pid(self, container: str) -> int:
        """The first process of a container, in the host's namespace."""
        return int(json.loads(self.run("inspect", container))[0]["State"]["Pid"])

    def run(self, *arguments: str, loginuid: int | None = None) -> str:
        login = (
            []
            if loginuid is None
            else ["sh", "-c", f'echo {loginuid} > /proc/self/loginuid; exec "$@"', "sh"]
        )
        result = subprocess.run(
            [*login, *self._command, *arguments],
            cwd="/",
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert result.returncode == 0, f"podman {arguments}: {result.stderr}"
        return result.stdout.strip()


@pytest.fixture
def image(scratch: Path) -> Path:
    """An image of one program, to be imported."""
    need(shutil.which("podman") and shutil.which("runc"), "podman and runc (apt-get install podman runc)")
    busybox = shutil.which("busybox")
    need(busybox, "busybox (apt-get install busybox-static)")
    (scratch / "files/bin").mkdir(parents=True)
    shutil.copy(str(busybox), scratch / "files/bin/sleep")
    subprocess.run(["tar", "-C", scratch / "files", "-cf", scratch / "image.tar", "."], check=True)
    return scratch / "image.tar"


@pytest.fixture
def podman(scratch: Path, image: Path) -> Iterator[Podman]:
    made = Podman(scratch)
    made.run("import", str(image), "localhost/sleep")
    yield made
    made.close()


@pytest.fixture
def rootless(people: People, image: Path) -> Iterator[Podman]:
    """A podman of alice's, who is nobody special."""
    need(shutil.which("newuidmap"), "newuidmap (apt-get install uidmap)")
    home = people.alice.home / "podman"
    (home / "run").mkdir(parents=True, exist_ok=True)
    for path in (home, home / "run"):
        os.chown(path, people.alice.uid, people.alice.uid)
    made = Podman(home, people.alice)
    made.run("import", str(image), "localhost/sleep")
    yield made
    made.close()


@pytest.mark.parametrize(("options", "source"), [((), Source.UID), (("-u", "1000"), Source.SUBUID)])
def test_a_rootless_container_is_its_users(
    rootless: Podman, people: People, options: tuple[str, ...], source: Source
) -> None:
    """Its root is alice; its other users are of her subordinate uids. Neither is whoever has uid 1000 here."""
    pid = rootless.pid(rootless.sleep(*options))
    owner = owner_of(Procfs().read(pid), {}, {}, Accounts())
    assert (owner.user, owner.source) == (people.alice.name, source)


def test_a_podman_container_keeps_the_login_that_it_was_started_from(
    machine: Machine, podman: Podman
) -> None:
    alice = machine.people.alice
    container = podman.sleep(loginuid=alice.uid)
    owner = machine.owner(podman.pid(container))
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
        found = owner_of(Procfs().read(podman.pid(container)), containers.known(), {}, Accounts())
        assert found.container_id == container
        return found.user, found.source, found.disputed

    try:
        assert owner(early) == (bob.name, Source.UID, "")
        assert containers.known()[early].name == "early"
        mounted = podman.sleep("-v", f"{alice.home}:/work", loginuid=bob.uid)
        disputed = f"its mounted home is {alice.name}'s, but the login it was started from is {bob.name}'s"
        assert owner(mounted) == (alice.name, Source.MOUNT, disputed)
        (alice.home / "corpus").mkdir(exist_ok=True)
        reading = podman.sleep("-v", f"{alice.home}/corpus:/data:ro", loginuid=bob.uid)
        assert owner(reading) == (bob.name, Source.LOGINUID, "")
        forged = podman.sleep("--label", f"{OWNER_LABEL}={alice.name}", loginuid=bob.uid)
        disputed = f"its label says {alice.name}, but the login it was started from is {bob.name}'s"
        assert owner(forged) == (bob.name, Source.LOGINUID, disputed)
    finally:
        containers.stop()
        service.terminate()
        service.wait()
