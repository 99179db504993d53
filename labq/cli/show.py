"""Everything about one job: how it ended or why it waits, when and where it ran, its attempts, its spec.

For an array: its tasks.
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
    import sys

    from labq.cli import terminal
    from labq.cli.render.job import array_block, job_block
    from labq.clock import now

    job = common.client(options).job(options.id)
    if options.json:
        terminal.print_json(job)
    elif job.get("array") is True:
        text = array_block(job, now(), terminal.width(), colours=terminal.colours())
        sys.stdout.write(text)
    else:
        sys.stdout.write(job_block(job, now(), colours=terminal.colours()))
    return 0
