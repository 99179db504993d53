"""Each GPU on one line: model, memory, use, who, which job, since when. On a terminal it refreshes; q ends it."""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Seconds between two pictures.
EVERY = 2.0


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument("--once", action="store_true", help="print once, also on a terminal")
    common.add_json(parser)


def run(options: Any) -> int:
    """Print once, or draw until `q`."""
    import sys

    from labq.cli import terminal
    from labq.cli.render.top import top_text
    from labq.clock import now

    client = common.client(options)

    def picture() -> str:
        return top_text(client.gpus(), now(), terminal.width(), colours=terminal.colours())

    if options.json:
        terminal.print_json(client.gpus())
    elif options.once or not (terminal.is_terminal(sys.stdout) and terminal.is_terminal(sys.stdin)):
        sys.stdout.write(picture())
    else:
        from labq.cli.screen import refresh

        refresh(picture, EVERY)
    return 0
