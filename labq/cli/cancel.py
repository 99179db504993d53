"""Stop jobs: queued ones at once; running ones get SIGTERM, and SIGKILL after their grace.

The id of an array stops all its tasks. What a job wrote to /outputs is kept.
"""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    common.add_job(parser, many=True, help="ids of jobs or arrays")
    parser.add_argument("--grace", metavar="TIME", help="time between SIGTERM and SIGKILL, such as 10s")
    common.add_json(parser)


def run(options: Any) -> int:
    """Cancel each; print what became of it."""
    from labq.cli import terminal

    client = common.client(options)
    answer: dict[str, list[str]] = {"cancelled": [], "stopping": [], "already": []}
    for job_id in options.ids:
        for key, ids in client.cancel(job_id, options.grace).items():
            answer.setdefault(key, []).extend(ids)
    if options.json:
        terminal.print_json(answer)
        return 0
    texts = {
        "cancelled": "cancelled",
        "stopping": "stopping (SIGTERM, then SIGKILL)",
        "already": "had ended already",
    }
    for key, text in texts.items():
        for job_id in answer[key]:
            print(f"job {job_id} {text}")
    return 0
