"""``labq-worker``: the agent of one node, until SIGTERM. Containers run on and are adopted at the next start."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from labq.program import exit_status, set_up_logging, settings_parser
from labq.sdnotify import under_systemd
from labq.settings import Settings
from labq.variables import check_variables, read_files
from labq_worker import machine
from labq_worker.config import read_config

#: Exit status of --joined when the node is to join (again). An unreachable server is 69, as everywhere: a play must not
#: join again because the server is away.
NOT_JOINED = 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = settings_parser(
        "labq-worker",
        "agent",
        "The labq agent of one node: builds images, runs jobs in containers, tells how the GPUs do.",
        epilog="A Redis URL with a password belongs into LABQ_REDIS_URL: command lines are visible to everybody.",
        prefix="node_",
        renamed={"node": "name"},
    )
    once = found.add_argument_group("instead of running")
    one = once.add_mutually_exclusive_group()
    one.add_argument(
        "--join",
        action="store_true",
        help="join the lab of --server as --name; the one-time token is standard input",
    )
    one.add_argument(
        "--joined", action="store_true",
        help="exit with 0 when this node has joined and is still accepted, 1 when not, 69 when the server is away",
    )  # fmt: skip
    one.add_argument(
        "--check-config", metavar="FILE", nargs="*",
        help="look for what is wrong in files of variables (worker.env; - is standard input), or in the environment",
    )  # fmt: skip
    once.add_argument(
        "--node-env", metavar="PATH", help="file that joining writes; default: /etc/labq/node.env"
    )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent; return the exit status."""
    said = vars(parser().parse_args(argv))
    joining, joined, files = said.pop("join"), said.pop("joined"), said.pop("check_config")
    path = said.pop("node_env")
    settings = Settings(said)
    if joining:
        return exit_status(lambda: _join(settings, path))
    if joined:
        # exit_status() returns 0 whatever the work returns.
        answers: list[bool] = []
        status = exit_status(lambda: answers.append(_joined(settings, path)))
        return status or (0 if answers == [True] else NOT_JOINED)
    if files is not None:
        return exit_status(lambda: _check(files))
    return exit_status(lambda: _run(settings))


def _join(settings: Settings, path: str | None) -> None:
    from labq_worker import joining

    target = Path(path) if path else joining.NODE_ENV
    token = getpass.getpass("one-time token: ") if sys.stdin.isatty() else sys.stdin.readline()
    found = joining.join(settings.text("server"), _name(settings), token.strip(), target)
    sys.stdout.write(f"joined as {found.name}; what it needs is in {target}\n")


def _joined(settings: Settings, path: str | None) -> bool:
    from labq_worker import joining

    target = Path(path) if path else joining.NODE_ENV
    return joining.is_joined(settings.text("server"), _name(settings), target)


def _name(settings: Settings) -> str:
    return settings.text("node") or machine.hostname().partition(".")[0]


def _check(files: Sequence[str]) -> None:
    env = read_files(files) if files else dict(os.environ)
    check_variables(env, "agent", "labq-worker")
    # What joining writes is not there yet when these files are checked.
    env.setdefault("LABQ_REDIS_URL", "redis://127.0.0.1:6379/0")
    read_config(Settings(env=env), machine.hostname())


def _run(settings: Settings) -> None:
    set_up_logging(settings.text("log_level"))
    config = read_config(settings, machine.hostname(), os.environ.get("DOCKER_HOST", ""))
    # Late: docker and rq take a quarter of a second to import, and --help needs neither.
    from labq_worker.agent import Agent

    Agent(config, under_systemd()).run()


if __name__ == "__main__":
    sys.exit(main())
