"""How labq's programs start: flags made of the table of settings, a log on standard error, an error in two lines.

One row of ``labq.settings`` is one flag of each program that reads it, so a new setting is never without one.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Mapping

from labq import __version__
from labq.errors import BadInputError, LabqError, closest
from labq.settings import SETTINGS, Setting, Settings

LEVELS = ("debug", "info", "warning", "error")
#: Secrets have no flag: command lines are visible to everybody. (An address of Redis or of records may be one.)
_SECRET_FLAGS = frozenset({"redis_url", "records_url"})
#: The form of a value in ``--help``, by the setting's kind.
_FORMS = {
    "text": "TEXT",
    "path": "PATH",
    "seconds": "TIME",
    "bytes": "SIZE",
    "int": "N",
    "list": "LIST",
    "secret": "URL",
}
#: Logger -> the least level of it that is shown.
_QUIET = {
    # Its lines on its own start and stop say nothing that ours do not.
    "uvicorn": logging.WARNING,
    # Each try that fails is a line there, too; ours say it once.
    "urllib3": logging.ERROR,
    "docker": logging.WARNING,
    "rq.worker": logging.CRITICAL,
    "slack_sdk.web": logging.CRITICAL,
}


def settings_parser(
    name: str,
    reader: str,
    description: str,
    *,
    epilog: str = "",
    prefix: str = "",
    renamed: Mapping[str, str] | None = None,
) -> argparse.ArgumentParser:
    """Return a parser with a flag for each setting that the program reads; it says the environment variable, too.

    Args:
        name: of the program: ``labq-worker``.
        reader: its word in ``Setting.used_by``.
        description: one sentence on what it does.
        epilog: shown below the flags.
        prefix: of settings' names, which flags leave out: ``exporter_port`` is ``--port`` of the exporter.
        renamed: setting -> name of its flag, without dashes before it, where it is another.
    """
    made = argparse.ArgumentParser(name, description=description, epilog=epilog or None, allow_abbrev=False)
    made.add_argument("--version", action="version", version=f"{name} {__version__}")
    for row in SETTINGS:
        if reader in row.used_by and (row.kind != "secret" or row.name in _SECRET_FLAGS):
            word = (renamed or {}).get(row.name) or row.name.removeprefix(prefix).replace("_", "-")
            _add(made, f"--{word}", row)
    return made


def _add(made: argparse.ArgumentParser, flag: str, row: Setting) -> None:
    text = f"{row.help} (env: {row.env}" + (f"; default: {row.default})" if row.default else ")")
    # argparse takes % for the beginning of a form of its own.
    text = text.replace("%", "%%")
    if row.kind == "switch":
        made.add_argument(flag, dest=row.name, nargs="?", const="1", metavar="1|0", help=text)
    else:
        made.add_argument(flag, dest=row.name, metavar=_FORMS[row.kind], help=text)


def named_redis(settings: Settings) -> str:
    """Return the address of Redis.

    Args:
        settings: those in force.

    Raises:
        BadInputError: none is named.
    """
    if url := settings.text("redis_url"):
        return url
    raise BadInputError(
        "there is no LABQ_REDIS_URL",
        "name the Redis of the server (redis://HOST:6379/0); `labq up` starts one",
    )


def set_up_logging(level: str) -> None:
    """Log to standard error, one line each.

    Args:
        level: one of ``LEVELS``, in letters of any case.

    Raises:
        BadInputError: the level is not known.
    """
    if level.lower() not in LEVELS:
        near = closest(level.lower(), list(LEVELS))
        hint = f"did you mean {near}? " if near else ""
        raise BadInputError(f"LABQ_LOG_LEVEL={level!r} is not known", f"{hint}legal: {', '.join(LEVELS)}")
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, logging.getLogger().level))


def exit_status(work: Callable[[], object]) -> int:
    """Do the work of a program and return its exit status; an error of ours is told on standard error.

    Args:
        work: what the program does once its command line is read.
    """
    try:
        work()
    except LabqError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_status
    except KeyboardInterrupt:
        # 128 and the number of SIGINT, as a shell has it.
        return 130
    return 0
