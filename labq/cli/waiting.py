"""Waiting for several jobs and arrays, and the exit status that says how they ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic

from labq.errors import LabqError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labq.client import Client

_FINAL = {"succeeded", "failed", "cancelled"}


def wait_for_all(
    client: Client, ids: Sequence[str], timeout: float | None, refused: Callable[[LabqError], None]
) -> Iterator[dict[str, Any]]:
    """Yield each job when it has ended; an array stands for its tasks.

    Args:
        client: the server.
        ids: jobs and arrays.
        timeout: seconds for all of them; None = for ever.
        refused: told why one of the ids cannot be waited for; the others are.

    Raises:
        TimeoutError: they had not all ended in time.
        UnavailableError: the server is away.
    """
    deadline = None if timeout is None else monotonic() + timeout
    for job_id in ids:
        try:
            view = client.job(job_id)
        except UnavailableError:
            raise
        except LabqError as error:
            refused(error)
            continue
        tasks = view["jobs"] if view.get("array") is True else [view]
        for task in tasks:
            if task["state"] in _FINAL:
                yield task
                continue
            left = None if deadline is None else max(0.0, deadline - monotonic())
            yield client.wait(str(task["id"]), left)


def worst(views: Sequence[Mapping[str, Any]], statuses: Mapping[str, int]) -> int:
    """Return the exit status of the worst end; ``statuses`` lists the states from good to bad.

    >>> worst([{"state": "failed"}, {"state": "cancelled"}], {"succeeded": 0, "cancelled": 2, "failed": 1})
    1
    """
    order = list(statuses)
    ends = [order.index(str(view["state"])) for view in views if view["state"] in statuses]
    return statuses[order[max(ends)]] if ends else 0
