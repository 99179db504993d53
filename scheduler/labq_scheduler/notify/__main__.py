"""``labq-notifier``: tells people what became of their jobs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from labq import __version__
from labq.errors import LabqError
from labq.settings import BY_NAME, SETTINGS, Settings

#: Secrets have no flag: command lines are visible to everybody. (An address of Redis or of records may be one.)
_SECRET_FLAGS = frozenset({"redis_url", "records_url"})
FLAGS = tuple(
    row.name
    for row in SETTINGS
    if "notifier" in row.used_by and (row.kind != "secret" or row.name in _SECRET_FLAGS)
)


def parser() -> argparse.ArgumentParser:
    """Return the parser; each flag is a setting and says its environment variable."""
    found = argparse.ArgumentParser(
        "labq-notifier", description="Tells people by Slack, mail or webhook what became of their jobs.",
        allow_abbrev=False,
    )  # fmt: skip
    found.add_argument("--version", action="version", version=f"labq {__version__}")
    for name in FLAGS:
        row = BY_NAME[name]
        text = f"{row.help} (env: {row.env}" + (f"; default: {row.default})" if row.default else ")")
        found.add_argument("--" + name.replace("_", "-"), help=text.replace("%", "%%"), metavar="VALUE")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the notifier; return the exit status."""
    settings = Settings(vars(parser().parse_args(arguments)))
    try:
        from labq_scheduler.__main__ import set_up_logging
        from labq_scheduler.notify.process import run

        set_up_logging(settings.text("log_level"))
        run(settings)
    except LabqError as error:
        sys.stderr.write(f"labq-notifier: {error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
