"""``labq-notifier``: tells people what became of their jobs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from labq.program import exit_status, set_up_logging, settings_parser
from labq.settings import Settings


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    return settings_parser(
        "labq-notifier", "notifier", "Tells people by Slack, mail or webhook what became of their jobs."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the notifier; return the exit status."""
    settings = Settings(vars(parser().parse_args(arguments)))
    return exit_status(lambda: _run(settings))


def _run(settings: Settings) -> None:
    set_up_logging(settings.text("log_level"))
    from labq_scheduler.notify.process import run

    run(settings)


if __name__ == "__main__":
    sys.exit(main())
