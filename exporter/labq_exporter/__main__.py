"""``labq-exporter``: tells Prometheus who uses which GPU of this machine, until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence

from labq import __version__
from labq.errors import BadInputError, LabqError
from labq.settings import BY_NAME, Settings
from labq_exporter.config import read_config

#: Flag -> setting.
FLAGS = {
    "--host": "exporter_host",
    "--port": "exporter_port",
    "--interval": "exporter_interval",
    "--web-config": "exporter_web_config",
    "--run-dir": "run_dir",
    "--gpus-expected": "gpus_expected",
    "--engines": "engines",
    "--log-level": "log_level",
}
#: Signals that end it.
ENDS = (signal.SIGTERM, signal.SIGINT)
LEVELS = ("debug", "info", "warning", "error")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = argparse.ArgumentParser(
        prog="labq-exporter",
        description="Tells Prometheus who uses which GPU of this machine: labq's jobs, containers, logins.",
        epilog="Run it as root on the machine itself: in a container it sees neither the processes nor their owners.",
    )
    for flag, name in FLAGS.items():
        row = BY_NAME[name]
        shown = f"{row.help} [{row.env}{', default ' + row.default if row.default else ''}]"
        out.add_argument(flag, dest=name, metavar=flag[2:].upper().replace("-", "_"), help=shown)
    out.add_argument("--version", action="version", version=f"labq-exporter {__version__}")
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Run the exporter; return the exit status."""
    settings = Settings(vars(parser().parse_args(argv)))
    try:
        level = settings.text("log_level").lower()
        if level not in LEVELS:
            raise BadInputError(f"LABQ_LOG_LEVEL={level!r} is not known", f"legal: {', '.join(LEVELS)}")
        logging.basicConfig(
            level=level.upper(),
            format="%(asctime)s %(levelname).1s %(message)s",
            stream=sys.stderr,
        )
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        logging.getLogger("docker").setLevel(logging.WARNING)
        config = read_config(settings, os.environ.get("DOCKER_HOST", ""))
        # Late: --help needs neither docker nor prometheus_client.
        from labq_exporter.exporter import Exporter
        from labq_exporter.web import Web
        from labq_exporter.web_config import WebConfig

        # Before any thread is there: a signal that another thread takes would not wake this one, and a handler that
        # sets an Event can meet this thread inside that Event.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        web_config = WebConfig(config.web_config) if config.web_config is not None else None
        exporter = Exporter(config)
        web = Web(config.host, config.port, web_config, page=exporter.page, healthy=exporter.healthy)
        exporter.start()
        web.start()
        logging.getLogger(__name__).info(
            "labq-exporter %s answers at %s://%s:%d/metrics", __version__, web.scheme, config.host, web.port
        )
        signal.sigwait(ENDS)
        web.stop()
        exporter.stop()
    except LabqError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
