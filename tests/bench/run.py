"""`make bench`: the figures of the README, measured as ratios in one run. Not a test: it prints, it never fails.

    python tests/bench/run.py            everything, about five minutes
    python tests/bench/run.py start api  only these: start, api, ls, drain, memory

It starts a lab of its own (`labq up` on a private Docker engine with simulated GPUs), as the tests do.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.engine_fixtures import open_engine
from support.lab import Lab

from bench import api, drain, listing, memory, start

PARTS = {
    "start": start.measure,
    "api": api.measure,
    "drain": drain.measure,
    "ls": listing.measure,
    "memory": memory.measure,
}


def main() -> None:
    """Run the chosen parts, each on a fresh lab."""
    # As on a person's machine: without compiled modules the command line compiles itself at every start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    chosen = sys.argv[1:] or list(PARTS)
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        sys.exit(f"unknown part {unknown[0]!r}; legal: {', '.join(PARTS)}")
    with open_engine() as engine:
        for name in chosen:
            lab = Lab(engine, Path(tempfile.mkdtemp(prefix="labq-bench-")), settings={"LABQ_NODE_CPUS": "64"})
            lab.start()
            try:
                PARTS[name](lab)
            finally:
                lab.close()


if __name__ == "__main__":
    main()
