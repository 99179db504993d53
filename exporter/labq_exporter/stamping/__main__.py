"""``labq-docker-stamp``: writes who created a container onto it. Off by default; ADR 0009 says when to use it."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from labq import __version__
from labq.errors import BadInputError
from labq.holding.seal import KEY_PATH
from labq.program import LEVELS, exit_status, set_up_logging

#: Seconds: systemd would have killed it long before.
LONGEST_GRACE = 3600.0


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found <= LONGEST_GRACE:
        raise argparse.ArgumentTypeError(f"{text!r} is not legal; write seconds from 0 to {LONGEST_GRACE:g}")
    return found


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = argparse.ArgumentParser(
        prog="labq-docker-stamp",
        description="A proxy for an engine's socket that labels each new container with who really created it.",
        epilog="It is accounting, not security: whoever may use an engine is root on its machine.",
    )
    out.add_argument(
        "--listen", type=Path, metavar="PATH", help="Socket to make (else systemd passes one in)."
    )
    out.add_argument("--group", default="", help="Group that may use the socket of --listen.")
    out.add_argument(
        "--engine", default="/var/run/docker.sock", metavar="PATH", help="The engine's socket [%(default)s]."
    )
    out.add_argument(
        "--key", type=Path, default=KEY_PATH, metavar="PATH", help="Key file, made if missing [%(default)s]."
    )
    out.add_argument(
        "--grace",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="Time that open streams have at the end [5].",
    )
    out.add_argument("--log-level", default="info", choices=LEVELS)
    out.add_argument("--version", action="version", version=f"labq-docker-stamp {__version__}")
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Run the proxy; return the exit status."""
    given = parser().parse_args(argv)
    return exit_status(lambda: _run(given))


def _run(given: argparse.Namespace) -> None:
    set_up_logging(given.log_level)
    # asyncio loads ssl if it finds it: 1.4 MB that a proxy of unix sockets never uses.
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]
    import asyncio

    from labq_exporter.stamping.caller import Names
    from labq_exporter.stamping.keyfile import key_at
    from labq_exporter.stamping.service import Service, inherited, listen_at
    from labq_exporter.stamping.stamper import Stamper

    listeners = inherited(os.environ)
    if given.listen is not None:
        listeners.append(listen_at(given.listen, given.group))
    if not listeners:
        raise BadInputError(
            "there is no socket to listen on",
            "start it through labq-docker-stamp.socket, or give --listen PATH",
        )
    stamper = Stamper(key_at(given.key), Names())
    asyncio.run(Service(given.engine, stamper, given.grace).run(listeners))


if __name__ == "__main__":
    sys.exit(main())
