"""List jobs: yours that are not over, and those that ended in the last 24 hours.

STATE shows how a job ended; "(sim)" behind GPUS means simulated GPUs.
"""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument("-a", "--all", action="store_true", help="everybody's")
    parser.add_argument("--owner", metavar="NAME", help="that person's")
    parser.add_argument("--state", metavar="STATES", help="such as queued,running; or active, ended, all")
    parser.add_argument("--tag", metavar="TAG", help="only with this tag")
    parser.add_argument("--name", metavar="NAME", help="only with this name")
    parser.add_argument(
        "--since", metavar="WHEN", help="active, or ended since then: 2h, 7d or an RFC 3339 time"
    )
    parser.add_argument("--array", metavar="ID", help="only tasks of this array")
    parser.add_argument("--limit", metavar="N", type=common.whole, help="at most so many (200); 0 = all")
    parser.add_argument("--ids", action="store_true", help="print ids only")
    common.add_json(parser)


def run(options: Any) -> int:
    """Ask, and print a table, ids or JSON."""
    import sys

    from labq.cli import terminal

    jobs = common.client(options).jobs(
        owner="*" if options.all else options.owner,
        state=options.state,
        tag=options.tag,
        name=options.name,
        since=options.since,
        array=options.array,
        limit=options.limit,
    )
    if options.json:
        terminal.print_json(jobs)
    elif options.ids:
        sys.stdout.write("".join(f"{job['id']}\n" for job in jobs))
    elif not jobs:
        terminal.note("no jobs; `labq ls --all` shows everybody's, `labq ls --state all` also older ones")
    else:
        from labq.cli.render.jobs import jobs_table, more_line
        from labq.clock import now

        text = jobs_table(jobs, now(), terminal.width(), owners=options.all, colours=terminal.colours())
        sys.stdout.write(text + more_line(len(jobs), jobs.total))
    return 0
