"""Stop jobs: queued ones at once; running ones get SIGTERM, and SIGKILL after their grace.

The id of an array stops all its tasks. What a job wrote to /outputs is kept. Each id is tried, whatever became of the
others; exit status: 0 all were stopped or had ended, 1 one could not be.
"""

from __future__ import annotations

from labq.cli import parser as common
from labq.errors import LabqError

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
    from labq.errors import UnavailableError

    client = common.client(options)
    refused: list[LabqError] = []
    answer: dict[str, list[str]] = {"cancelled": [], "stopping": [], "already": []}
    for job_id in options.ids:
        try:
            found = client.cancel(job_id, options.grace)
        except UnavailableError:
            raise
        except LabqError as error:
            if len(options.ids) == 1:
                raise
            refused.append(error)
            continue
        for key, ids in found.items():
            answer.setdefault(key, []).extend(ids)
        if not options.json:
            _tell(found)
    if options.json:
        terminal.print_json(answer)
    for reason in refused:
        terminal.note(f"error: {reason}")
    return 1 if refused else 0


def _tell(answer: dict[str, list[str]]) -> None:
    texts = {
        "cancelled": "cancelled",
        "stopping": "stopping (SIGTERM, then SIGKILL)",
        "already": "had ended already",
    }
    for key, text in texts.items():
        for job_id in answer.get(key, []):
            print(f"job {job_id} {text}", flush=True)
