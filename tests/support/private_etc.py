"""A play on this very machine, in a mount namespace where /etc is a copy: what it does to people is seen there alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.need import need

REPO = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


class PrivateEtc:
    """This machine with an /etc of its own; homes are in ``homes``."""

    def __init__(self, directory: Path) -> None:
        """Copy /etc.

        Args:
            directory: for the copy, the homes and the play.
        """
        need(os.geteuid() == 0, "root")
        need(shutil.which("unshare"), "unshare")
        self.etc, self.homes, self._play = directory / "etc", directory / "homes", directory / "play.yml"
        shutil.copytree("/etc", self.etc, symlinks=True, ignore=_special)
        self.homes.mkdir()

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        script = 'mount --make-rprivate / && mount --bind "$0" /etc && exec "$@"'
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, self.etc, *words],
            env=os.environ | {
                "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_ROLES_PATH": str(REPO / "playbooks" / "roles"),
                "ANSIBLE_NOCOLOR": "1", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
            },
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip

    def play(
        self, tasks: list[dict[str, Any]], variables: Mapping[str, object], *words: str
    ) -> subprocess.CompletedProcess[str]:
        """Play tasks there."""
        self._play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        return self.run(
            BIN / "ansible-playbook", "-i", "localhost,", "-e", json.dumps(here | dict(variables)), *words, self._play
        )  # fmt: skip


def _special(directory: str, names: list[str]) -> list[str]:
    """What is neither file, directory nor link."""
    paths = {name: Path(directory, name) for name in names}
    return [n for n, p in paths.items() if not (p.is_symlink() or p.is_file() or p.is_dir())]
