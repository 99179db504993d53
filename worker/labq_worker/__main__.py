"""``labq-worker``: the agent of one node, until SIGTERM. Containers run on and are adopted at the next start."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from labq.program import exit_status, set_up_logging, settings_parser
from labq.settings import Settings
from labq_worker import machine
from labq_worker.config import read_config


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    return settings_parser(
        "labq-worker",
        "agent",
        "The labq agent of one node: builds images, runs jobs in containers, tells how the GPUs do.",
        epilog="A Redis URL with a password belongs into LABQ_REDIS_URL: command lines are visible to everybody.",
        prefix="node_",
        renamed={"node": "name"},
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent; return the exit status."""
    settings = Settings(vars(parser().parse_args(argv)))
    return exit_status(lambda: _run(settings))


def _run(settings: Settings) -> None:
    set_up_logging(settings.text("log_level"))
    config = read_config(settings, machine.hostname(), os.environ.get("DOCKER_HOST", ""))
    # Late: docker and rq take a quarter of a second to import, and --help needs neither.
    from labq_worker.agent import Agent

    Agent(config).run()


if __name__ == "__main__":
    sys.exit(main())
