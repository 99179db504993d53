"""``labq-scheduler``: the server of a lab."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from labq import __version__
from labq.errors import BadInputError, LabqError, closest
from labq.settings import BY_NAME, Settings

_FLAGS = (
    "host", "port", "data_dir", "redis_url", "records_url", "max_time", "mounts", "max_context",
    "max_queued_per_user", "keep_jobs", "keep_contexts", "usage_half_life", "node_grace",
    "idle_warn", "idle_reclaim", "idle_exempt", "targets_dir", "exporter_port", "grafana_url", "log_level",
)  # fmt: skip
_LEVELS = ("debug", "info", "warning", "error")


def parser() -> argparse.ArgumentParser:
    """Return the parser; each flag is a setting and says its environment variable."""
    found = argparse.ArgumentParser(
        "labq-scheduler", description="The labq server: HTTP API, deciding loop, records.", allow_abbrev=False
    )
    found.add_argument("--version", action="version", version=f"labq {__version__}")
    found.add_argument("--only", choices=("api", "loop"), help="run one part; by default both")
    first = found.add_argument_group("before the first start (each prints a token, once, and ends)")
    first.add_argument("--add-admin", metavar="NAME", help="make an admin")
    first.add_argument(
        "--uid", type=int, metavar="N", help="unix id of the admin's containers; default: their account here"
    )
    first.add_argument("--gid", type=int, metavar="N", help="unix group id, likewise")
    first.add_argument(
        "--add-node", metavar="NAME", help="make the token of a node's agent (LABQ_NODE_TOKEN)"
    )
    for name in _FLAGS:
        row = BY_NAME[name]
        text = f"{row.help} (env: {row.env}" + (f"; default: {row.default})" if row.default else ")")
        found.add_argument("--" + name.replace("_", "-"), help=text.replace("%", "%%"), metavar="VALUE")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server; return the exit status."""
    said = vars(parser().parse_args(arguments))
    only = said.pop("only")
    admin, uid, gid, node = (said.pop(name) for name in ("add_admin", "uid", "gid", "add_node"))
    settings = Settings(said)
    try:
        set_up_logging(settings.text("log_level"))
        if admin or node:
            return _first_people(settings, admin, uid, gid, node)
        from labq_scheduler.serve import serve

        serve(settings, only)
    except LabqError as error:
        sys.stderr.write(f"labq-scheduler: {error}\n")
        return error.exit_status
    return 0


def _first_people(
    settings: Settings, admin: str | None, uid: int | None, gid: int | None, node: str | None
) -> int:
    from labq.store import Store
    from labq_scheduler.first_people import add_admin, add_node

    if not settings.text("redis_url"):
        raise BadInputError("no Redis is named", "set LABQ_REDIS_URL as for the server: see scheduler.env")
    store = Store(settings.text("redis_url"))
    if admin:
        sys.stdout.write(add_admin(store, admin, uid, gid) + "\n")
    if node:
        sys.stdout.write(add_node(store, node) + "\n")
    return 0


def set_up_logging(level: str) -> None:
    """Log to standard error, one line each; time stamps only where no journal adds them.

    Raises:
        BadInputError: the level is not known.
    """
    if level.lower() not in _LEVELS:
        near = closest(level.lower(), list(_LEVELS))
        hint = f"did you mean {near}? " if near else ""
        raise BadInputError(f"LABQ_LOG_LEVEL {level!r} is not known", f"{hint}legal: {', '.join(_LEVELS)}")
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    # uvicorn's lines on its own start and stop say nothing that ours do not.
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, logging.getLogger().level))


if __name__ == "__main__":
    sys.exit(main())
