"""Print what a job has written, byte for byte; with -f until it has ended.

The job's bytes go to stdout, labq's own remarks (state, build) to stderr. Ctrl-C ends the following, not the job.
"""

from __future__ import annotations

from labq.cli import parser as common
from labq.errors import BadInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    common.add_job(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the job has ended")
    parser.add_argument("-n", "--tail", metavar="N", type=common.whole, help="the last N lines only")
    parser.add_argument(
        "--since", metavar="WHEN", help="what was written since then: 10m or an RFC 3339 time"
    )
    parser.add_argument(
        "-t", "--timestamps", action="store_true", help="write the time in front of each line"
    )
    parser.add_argument(
        "--attempt", metavar="N", type=common.whole, help="an earlier run (default: the last)"
    )
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--stdout", dest="stream", action="store_const", const="stdout", help="stdout only")
    one.add_argument("--stderr", dest="stream", action="store_const", const="stderr", help="stderr only")


def run(options: Any) -> int:
    """Copy bytes."""
    import sys

    client = common.client(options)
    if options.follow:
        if options.attempt is not None:
            raise BadInputError("labq logs: --attempt and --follow exclude each other", "drop one of them")
        from labq.cli.following import follow_job

        follow_job(
            client,
            options.id,
            tail=options.tail,
            since=options.since,
            stream=options.stream,
            stamps=options.timestamps,
        )
        return 0
    out = sys.stdout.buffer
    for piece in client.logs(
        options.id,
        attempt=options.attempt,
        tail=options.tail,
        since=options.since,
        timestamps=options.timestamps,
        stream=options.stream,
    ):
        out.write(piece)
    return 0
