"""Wait until jobs have ended.

Exit status: 0 all succeeded, 1 one failed, 2 one was cancelled (and none failed), 124 they had not ended
when --timeout passed. labq's own errors have others: 64 the command line is wrong, 66 there is no such job (the other
jobs are waited for all the same), 3 the token, 69 no server answers, 74 anything else.
"""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labq.errors import LabqError

#: Exit status by final state, worst last.
STATUS = {"succeeded": 0, "cancelled": 2, "failed": 1}
TIMED_OUT = 124


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    common.add_job(parser, many=True, help="ids of jobs or arrays")
    parser.add_argument(
        "--timeout", metavar="TIME", type=common.duration, help="give up after that, such as 2h"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing")
    common.add_json(parser)


def run(options: Any) -> int:
    """Wait for each; return the worst."""
    from labq.cli import terminal
    from labq.cli.render.text import clean
    from labq.cli.waiting import wait_for_all, worst

    client = common.client(options)
    client.session.on_away = terminal.note
    views: list[dict[str, Any]] = []
    refused: list[LabqError] = []
    timed_out = False
    try:
        for view in wait_for_all(client, options.ids, options.timeout, refused.append):
            views.append(view)
            if not options.quiet and not options.json:
                print(f"job {view['id']}: {clean(str(view.get('verdict') or view['state']))}", flush=True)
    except TimeoutError as error:
        timed_out = True
        if not options.quiet:
            terminal.note(f"{error}; `labq wait` gave up, the job goes on")
    if options.json and (views or not refused):
        terminal.print_json(views[0] if len(options.ids) == 1 and len(views) == 1 else views)
    for reason in refused[:-1]:
        terminal.note(f"error: {reason}")
    if refused:
        raise refused[-1]
    return TIMED_OUT if timed_out else worst(views, STATUS)
