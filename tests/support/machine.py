"""A machine with people, an engine, processes and cgroups; what labq says of whose they are. Fixtures in its conftest."""

import contextlib
import subprocess
from collections.abc import Mapping
from pathlib import Path

from labq.holding.accounts import Accounts
from labq.holding.engines import Containers
from labq.holding.facts import LeaseFacts, Owner
from labq.holding.owners import owner_of
from labq.holding.procfs import Procfs
from support.engine import BUSYBOX, Engine
from support.need import need
from support.people import People, Person
from support.waiting import wait_for


class Machine:
    """Starts things and asks whose they are."""

    def __init__(self, engine: Engine, containers: Containers, people: People) -> None:
        self.engine, self.containers, self.people = engine, containers, people
        self._processes: list[subprocess.Popen[bytes]] = []
        self._cgroups: list[Path] = []

    def container(
        self, *options: str, image: str = BUSYBOX, command: tuple[str, ...] = ("sleep", "600")
    ) -> str:
        """Starts a container and returns its id when the exporter knows it."""
        found = self.engine.docker(
            "run", "-d", "--label", "labq.test=1", "--network", "none", *options, image, *command
        ).split()[-1]
        wait_for(lambda: found in self.containers.known(), 10, "the new container to be known")
        return found

    def pid(self, container: str) -> int:
        """The first process of a container, in the host's namespace."""
        return int(self.engine.client.api.inspect_container(container)["State"]["Pid"])

    def process(self, *wrapper: str) -> int:
        """Starts a process that sleeps and returns its pid when it really does."""
        child = subprocess.Popen([*wrapper, "sleep", "600"], stdin=subprocess.DEVNULL)
        self._processes.append(child)
        name = Path(f"/proc/{child.pid}/comm")
        wait_for(lambda: name.read_text() == "sleep\n", 10, "the process to sleep")
        return child.pid

    def as_person(self, person: Person) -> int:
        """Starts a process of a person."""
        return self.process("setpriv", f"--reuid={person.uid}", "--clear-groups")

    def logged_in(self, person: Person, *wrapper: str) -> int:
        """Starts a root's process that came from a person's login, as under sudo."""
        return self.process(
            "sh", "-c", f'echo {person.uid} > /proc/self/loginuid && exec "$@"', "sh", *wrapper
        )

    def in_cgroup(self, path: str, pid: int) -> None:
        """Moves a process into a cgroup, which is made: on systemd's hierarchy, where version 1 has one."""
        root = next(
            (root for root in map(Path, ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup")) if (root / "cgroup.procs").exists()),
            None,
        )  # fmt: skip
        need(root, "a cgroup filesystem")
        assert root is not None
        made = root
        for part in path.strip("/").split("/"):
            made /= part
            if not made.exists():
                made.mkdir()
                self._cgroups.append(made)
        (made / "cgroup.procs").write_text(str(pid))

    def owner(
        self, pid: int, leases: Mapping[str, LeaseFacts] | None = None, key: bytes | None = None
    ) -> Owner:
        """Returns what labq says of a process."""
        found = Procfs().read(pid)
        return owner_of(found, self.containers.known(), leases or {}, Accounts(), key)

    def of_container(self, *options: str, image: str = BUSYBOX) -> Owner:
        """Starts a container and returns what labq says of its first process."""
        return self.owner(self.pid(self.container(*options, image=image)))

    def close(self) -> None:
        for child in self._processes:
            child.kill()
            child.wait()
        for made in reversed(self._cgroups):
            with contextlib.suppress(FileNotFoundError):
                wait_for(lambda made=made: (made.rmdir(), True)[1], 5, f"{made} to be empty")  # type: ignore[misc]
