"""Say why a job waits, when it is expected to start, and what would start sooner.

Of an array it tells of the first task that waits. The range holds what four of five such jobs live to see; how it is
made: docs/howto/when-it-starts.md.
"""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    common.add_job(parser)
    common.add_json(parser)


def run(options: Any) -> int:
    """Ask and print."""
    from labq.cli import terminal
    from labq.cli.render.outlook import lines
    from labq.cli.render.reason import reason
    from labq.clock import now

    answer = common.client(options).why(options.id)
    if options.json:
        terminal.print_json(answer)
    else:
        which = "" if answer["id"] == options.id else f"job {answer['id']}: "
        print(which + reason(str(answer.get("why") or f"job {answer['id']} is {answer['state']}"), now()))
        for line in lines(answer, now()):
            print(line)
    return 0
