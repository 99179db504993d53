"""Wheels for machines without an index: labq itself, built now, and what it depends on, downloaded once."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

REPO = Path(__file__).parents[2]
#: What is installed on a node: the extras of pyproject.toml.
EXTRAS = ("store", "worker", "exporter")
#: What redis wants of a Python before 3.11.3: pip asks the Python that it runs on, not the one that it downloads for.
FOR_DEBIAN = ("async-timeout>=4.0.3",)


def dependencies(extras: tuple[str, ...] = EXTRAS) -> list[str]:
    """What these extras of labq depend on, without labq itself."""
    table = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return sorted({wanted for extra in extras for wanted in table[extra] if not wanted.startswith("labq[")})


def wheelhouse(extras: tuple[str, ...] = EXTRAS) -> Path:
    """A directory with the wheels that these extras depend on, for Python 3.11 of Debian 12; made once per machine."""
    wanted = [*dependencies(extras), *FOR_DEBIAN]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labq"
    cache.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]
    found, new = cache / f"wheels-{key}", cache / f"wheels-{key}.new"
    with (cache / "wheels.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not found.exists():
            shutil.rmtree(new, ignore_errors=True)
            # pip itself too: a venv's own may not know a wheel's tags.
            command = [
                sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version", "3.11",
                "--retries", "10", "--dest", str(new), *wanted, "pip",
            ]  # fmt: skip
            done = subprocess.run(
                command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
            )
            assert done.returncode == 0, f"pip download: {done.stderr}"
            new.rename(found)
    return found


def build_wheel(target: Path, version: str = "") -> Path:
    """Builds labq's wheel into a directory and returns its path.

    Args:
        target: Where the wheel goes.
        version: Another version than the source has, for tests of upgrades.
    """
    source = REPO
    if version:
        source = target / f"source-{version}"
        # Not all that begins with a dot: .dockerignore and .env.example go into the wheel.
        ignore = shutil.ignore_patterns(
            ".git", ".venv", ".*cache*", ".hypothesis", "__pycache__", "tests", "docs", "dist", "build"
        )
        shutil.copytree(REPO, source, ignore=ignore)
        about = source / "labq" / "__init__.py"
        lines = about.read_text().splitlines()
        changed = [f'__version__ = "{version}"' if line.startswith("__version__") else line for line in lines]
        assert changed != lines, f"{about} names no __version__"
        about.write_text("\n".join(changed) + "\n")
    before = set(target.glob("*.whl"))
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(target),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = set(target.glob("*.whl")) - before
    if version:
        shutil.rmtree(source)
    return wheel
