"""What the role docker must know of a machine, in one look instead of eight tasks: one JSON object. Nothing is changed.

Arguments: the file with what dockerd ran with before a change that was not finished, and the one that says that the node
was drained for such a change.
"""

import json
import subprocess
import sys
from pathlib import Path


def time_of(path: str, field: str) -> float:
    """Return a time of a file, in seconds since the epoch; 0 where there is none."""
    try:
        return float(getattr(Path(path).stat(), field))
    except OSError:
        return 0.0


def settings(path: str) -> object:
    """Return what a file of settings says; None where it is not there or no JSON."""
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return None


def docker(*words: str) -> str:
    """Return what docker says; nothing where it is not there or its engine does not answer."""
    try:
        done = subprocess.run(
            ["docker", *words], capture_output=True, text=True, errors="replace", check=False
        )
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def command_of(pid_file: str) -> list[str]:
    """Return the words with which the process was started whose number is in a file."""
    try:
        pid = Path(pid_file).read_text().strip()
        return Path("/proc", pid, "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


before, drained = sys.argv[1:]
print(
    json.dumps(
        {
            # The second is Debian's.
            "here": Path("/usr/bin/dockerd").exists() or Path("/usr/sbin/dockerd").exists(),
            "hook": time_of("/usr/bin/nvidia-container-runtime-hook", "st_ctime"),
            "since": time_of("/run/docker.pid", "st_mtime"),
            "command": command_of("/run/docker.pid"),
            "info": json.loads(docker("info", "--format", "{{json .}}") or "null"),
            "containers": docker("ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}").splitlines(),
            "settings": settings("/etc/docker/daemon.json"),
            "before": settings(before),
            "drained": Path(drained).exists(),
        }
    )
)
