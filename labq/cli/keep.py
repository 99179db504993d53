"""Keep a job whose GPUs do nothing for now: `labq keep 12 --for 2h`. It is not ended for being idle meanwhile."""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    common.add_job(parser)
    parser.add_argument(
        "--for",
        dest="duration",
        metavar="TIME",
        help="how long: 4h (default); a day in all, or what the lab says",
    )


def run(options: Any) -> int:
    """Ask for it."""
    from labq.cli.render.moments import local

    kept = common.client(options).keep(options.id, options.duration)
    print(f"job {options.id}: kept until {local(kept['until'])}")
    return 0
