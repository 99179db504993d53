"""``python -m labq.systemd``: print the units' names, or what one of them says."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from labq.errors import LabqError
from labq.systemd import unit_names, unit_text


def main(argv: Sequence[str] | None = None) -> int:
    """Print; return the exit status."""
    parser = argparse.ArgumentParser("python -m labq.systemd", description="Print labq's units for systemd.")
    parser.add_argument("name", nargs="?", help="such as labq-worker.service; without one, the names")
    name = parser.parse_args(argv).name
    try:
        sys.stdout.write(unit_text(name) if name else "".join(f"{each}\n" for each in unit_names()))
    except LabqError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
