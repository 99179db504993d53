"""What the role preflight asks of a machine, in one look instead of six tasks: one JSON object. Nothing is changed.

python3 look.py PYTHON DOCKER_ROOT
"""

import json
import subprocess
import sys
from pathlib import Path

#: Packages that are a Docker, or are called like one.
DOCKERS = {"docker.io", "docker-ce", "moby-engine", "podman-docker"}
python, docker_root = sys.argv[1], Path(sys.argv[2])


def said(*command: str) -> str:
    """Return what a program prints; nothing where it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def nearest(path: Path) -> Path:
    """Return the directory that is there or the nearest one above: Docker's may not be made yet."""
    while not path.is_dir():
        path = path.parent
    return path


# A directory of which nothing can be said has no room.
fstype, free = (
    said("df", "--output=fstype,avail", "-B", "1", str(nearest(docker_root))).split() or ["", "0"]
)[-2:]
audit = subprocess.run(["dpkg", "--audit"], capture_output=True, text=True, errors="replace", check=False)
packages = [
    line.split() for line in said("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n").splitlines()
]
cards = [
    path for path in Path("/sys/bus/pci/devices").glob("*/vendor") if path.read_text().strip() == "0x10de"
]
version = said(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
print(
    json.dumps(
        {
            "python": version,
            "dockers": sorted(name for status, name in packages if status == "installed" and name in DOCKERS),
            "half_installed": audit.returncode != 0 or audit.stdout.strip() != "",
            "docker_fstype": fstype,
            "docker_free": int(free),
            "nvidia": bool(cards),
            "snap": Path("/snap/bin/docker").exists(),
            "swarm": (docker_root / "swarm" / "docker-state.json").exists(),
        }
    )
)
