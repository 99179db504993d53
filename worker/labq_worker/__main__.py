"""``labq-worker``: the agent of one node, until SIGTERM. Containers run on and are adopted at the next start."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from labq import __version__
from labq.errors import LabqError
from labq.settings import BY_NAME, Settings
from labq_worker import machine
from labq_worker.config import read_config

#: Flag -> setting. No flag for the token: a command line is visible to everybody on the machine.
FLAGS = {
    "--name": "node",
    "--gpus": "gpus",
    "--data-dir": "data_dir",
    "--redis-url": "redis_url",
    "--server": "server",
    "--labels": "node_labels",
    "--cpus": "node_cpus",
    "--memory": "node_memory",
    "--mounts": "mounts",
    "--builds": "builds",
    "--starts": "starts",
    "--log-level": "log_level",
}
LEVELS = ("debug", "info", "warning", "error")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = argparse.ArgumentParser(
        prog="labq-worker",
        description="The labq agent of one node: builds images, runs jobs in containers, tells how the GPUs do.",
        epilog="A Redis URL with a password belongs into LABQ_REDIS_URL: command lines are visible to everybody.",
    )
    for flag, name in FLAGS.items():
        row = BY_NAME[name]
        shown = f"{row.help} [{row.env}{', default ' + row.default if row.default else ''}]".replace(
            "%", "%%"
        )
        out.add_argument(flag, dest=name, metavar=name.rpartition("_")[2].upper(), help=shown)
    out.add_argument(
        "--shared-files",
        dest="shared_files",
        action="store_const",
        const="1",
        help="The server reads this agent's data directory (one machine). [LABQ_SHARED_FILES]",
    )
    out.add_argument("--version", action="version", version=f"labq-worker {__version__}")
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent; return the exit status."""
    settings = Settings(vars(parser().parse_args(argv)))
    try:
        level = settings.text("log_level").lower()
        logging.basicConfig(
            level=level.upper() if level in LEVELS else "INFO",
            format="%(asctime)s %(levelname).1s %(message)s",
            stream=sys.stderr,
        )
        # Each retry of a pooled connection is a line there; ours say it once.
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        logging.getLogger("docker").setLevel(logging.WARNING)
        logging.getLogger("rq.worker").setLevel(logging.CRITICAL)
        config = read_config(settings, machine.hostname(), os.environ.get("DOCKER_HOST", ""))
        # Late: docker and rq take a quarter of a second to import, and --help needs neither.
        from labq_worker.agent import Agent

        Agent(config).run()
    except LabqError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
