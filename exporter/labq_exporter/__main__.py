"""``labq-exporter``: tells Prometheus who uses which GPU of this machine, until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence

from labq import __version__
from labq.program import exit_status, set_up_logging, settings_parser
from labq.sdnotify import under_systemd
from labq.settings import Settings
from labq.variables import check_variables, read_files
from labq_exporter.config import read_config

#: Signals that end it.
ENDS = (signal.SIGTERM, signal.SIGINT)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = settings_parser(
        "labq-exporter",
        "exporter",
        "Tells Prometheus who uses which GPU of this machine: labq's jobs, containers, logins.",
        epilog="Run it as root on the machine itself: in a container it sees neither the processes nor their owners.",
        prefix="exporter_",
    )
    found.add_argument(
        "--check-config", metavar="FILE", nargs="*",
        help="only look for what is wrong in files of variables (exporter.env; - is standard input), or in the environment",
    )  # fmt: skip
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the exporter; return the exit status."""
    said = vars(parser().parse_args(argv))
    files = said.pop("check_config")
    settings = Settings(said)
    return exit_status(lambda: _check(files) if files is not None else _run(settings))


def _check(files: Sequence[str]) -> None:
    env = read_files(files) if files else dict(os.environ)
    check_variables(env, "exporter", "labq-exporter")
    read_config(Settings(env=env))


def _run(settings: Settings) -> None:
    set_up_logging(settings.text("log_level"))
    config = read_config(settings, os.environ.get("DOCKER_HOST", ""))
    # Late: --help needs neither docker nor prometheus_client.
    from labq_exporter.exporter import Exporter
    from labq_exporter.web import Web
    from labq_exporter.web_config import WebConfig

    # Before any thread is there: a signal that another thread takes would not wake this one, and a handler that
    # sets an Event can meet this thread inside that Event.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    web_config = WebConfig(config.web_config) if config.web_config is not None else None
    supervised = under_systemd()
    exporter = Exporter(config, supervised)
    web = Web(config.host, config.port, web_config, page=exporter.page, healthy=exporter.healthy)
    exporter.start()
    web.start()
    logging.getLogger(__name__).info(
        "labq-exporter %s answers at %s://%s:%d/metrics", __version__, web.scheme, config.host, web.port
    )
    supervised.ready(f"answers at {web.scheme}://{config.host}:{web.port}/metrics")
    signal.sigwait(ENDS)
    supervised.stopping()
    web.stop()
    exporter.stop()


if __name__ == "__main__":
    sys.exit(main())
