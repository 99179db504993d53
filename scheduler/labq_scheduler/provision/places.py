"""Where the lab directory and the playbooks are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from labq.errors import BadInputError, closest
from labq.settings import Settings

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class LabDir:
    """The lab directory (ADR 0011). Its owner only may read it: it holds the key to every machine."""

    root: Path

    @property
    def inventory(self) -> Path:
        """Return the directory that ansible reads as inventory."""
        return self.root / "inventory"

    @property
    def nodes(self) -> Path:
        """Return the directory with one file for each node that was added."""
        return self.inventory / "nodes"

    @property
    def removed(self) -> Path:
        """Return where the files of removed nodes are kept."""
        return self.root / "removed"

    @property
    def vault_password(self) -> Path:
        """Return the file with the password of ansible-vault; it need not exist."""
        return self.root / "vault-password"

    @property
    def ssh_key(self) -> Path:
        """Return the private key with which all machines are reached; it need not exist."""
        return self.root / "ssh" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Return the host keys of the machines."""
        return self.root / "ssh" / "known_hosts"

    @property
    def locks(self) -> Path:
        """Return the directory with a lock for each host."""
        return self.root / "locks"

    def run(self, run_id: str) -> Path:
        """Return the directory of a run's artifacts."""
        return self.root / "runs" / run_id

    def check(self) -> None:
        """Do nothing when it can be used; make the directories that a run needs.

        Raises:
            BadInputError: there is none, or others may read it.
        """
        if not self.inventory.is_dir():
            raise BadInputError(
                f"there is no inventory in {self.root}",
                f"labq inventory init {self.root}, or name another lab directory: LABQ_LAB_DIR",
            )
        mode = self.root.stat().st_mode & 0o777
        if mode & 0o077:
            raise BadInputError(
                f"{self.root} has mode {mode:o}: others may read the keys to all machines",
                f"chmod 700 {self.root}",
            )
        with suppress(OSError):  # an empty one is no inventory to ansible; one with files stays
            self.nodes.rmdir()
        for path in (self.known_hosts.parent, self.locks, self.root / "runs"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)


def lab_dir(settings: Settings) -> LabDir:
    """Return the lab directory that the settings name."""
    return LabDir(settings.path("lab_dir").absolute())


def playbooks_dir(settings: Settings) -> Path:
    """Return the directory of the playbooks: those named, those beside this file in a wheel, or a checkout's.

    Raises:
        BadInputError: there are none.
    """
    said = settings.path("playbooks_dir") if settings.text("playbooks_dir") else None
    for path in [said] if said else [_HERE / "playbooks", _HERE.parents[2] / "playbooks"]:
        if next(_plays(path), None) is not None:
            return path
    raise BadInputError(
        f"there are no playbooks in {said or _HERE / 'playbooks'}",
        "install labq[provision] from its wheel, or name their directory: LABQ_PLAYBOOKS_DIR",
    )


def check_playbook(directory: Path, name: str) -> None:
    """Do nothing when there is a playbook of that name.

    Raises:
        BadInputError: there is none; lists what there is.
    """
    names = sorted(path.name for path in _plays(directory))
    if name not in names:
        near = closest(name, names)
        hint = f"did you mean {near}? " if near else ""
        raise BadInputError(f"there is no playbook {name[:100]!r}", f"{hint}there are: {', '.join(names)}")


def _plays(directory: Path) -> Iterator[Path]:
    """Yield the playbooks of a directory: each is a list of plays."""
    for path in directory.glob("*.yml"):
        if any(line.startswith("- ") for line in path.read_text().splitlines()):
            yield path
