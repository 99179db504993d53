"""Get the files that a job left in /outputs, however it ended: into labq-outputs/ID, or where --to says.

For an array, each task's files land in a directory of their own. Nothing is ever written outside of it. Of a job that
runs on the server's machine: what it has written so far.

Exit status: 0 all that there is was fetched, 1 something could not be, or a job has no files.
"""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from labq.client import Client
    from labq.client.answer import Response

#: Seconds for which outputs that a node is still sending are awaited.
PATIENCE = 120.0
_FINAL = {"succeeded", "failed", "cancelled"}


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    common.add_job(parser)
    parser.add_argument("--to", metavar="DIR", help="where to put them (labq-outputs/ID)")
    parser.add_argument(
        "--attempt", metavar="N", type=common.whole, help="those of an earlier run (default: the last)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing")


def run(options: Any) -> int:
    """Unpack the stream and print each file as it lands."""
    import os

    from labq.cli import terminal
    from labq.cli.render.text import clean
    from labq.client.extract import extract

    client = common.client(options)
    view = client.job(options.id)
    base = options.to or os.path.join("labq-outputs", options.id)
    missing: list[str] = []

    def refuse(name: str, reason: str) -> None:
        missing.append(name)
        terminal.note(f"left out {clean(name)}: {clean(reason)}")

    several, fresh = view.get("array") is True, not os.path.exists(base)
    total = 0
    for task in view["jobs"] if several else [view]:
        to = os.path.join(base, str(task["index"])) if several else base
        stream = _outputs(client, task, options, missing)
        if stream is None:
            continue
        count, new = 0, not os.path.exists(to)
        for path in extract(stream, to, refuse):
            count += 1
            if not options.quiet:
                print(clean(path))
        client.close()
        total += count
        if not count:
            if new:
                _remove_empty(to)
            terminal.note(_nothing(task))
            missing.append(str(task["id"]))
    if several and fresh and not total:
        _remove_empty(base)
    if total and not options.quiet:
        terminal.note(f"{total} file{'' if total == 1 else 's'} in {base}")
    return 1 if missing else 0


def _outputs(client: Client, task: Mapping[str, Any], options: Any, missing: list[str]) -> Response | None:
    """Return the stream of one job; None, told, when there is none."""
    from time import monotonic, sleep

    from labq.cli import terminal
    from labq.errors import ConflictError, NotFoundError

    number, state = str(task["id"]), str(task["state"])
    if not task.get("attempt") and not task.get("started_at"):
        ended = state in _FINAL
        text = (
            "never ran: it has no files" if ended else f"has not run yet; labq why {number} says why it waits"
        )
        terminal.note(f"job {number} {text}")
        missing.append(number)
        return None
    deadline, told = monotonic() + PATIENCE, False
    while True:
        try:
            stream = client.outputs(number, attempt=options.attempt)
            break
        except (NotFoundError, ConflictError) as error:
            pause = error.details.get("retry_after")
            if pause is None or monotonic() >= deadline:
                nothing = error.code == NotFoundError.code and options.attempt is None
                terminal.note(_nothing(task) if nothing else f"error: {error}")
                missing.append(number)
                return None
            if not told:
                terminal.note(f"{error.what}; waiting for them (at most {PATIENCE:.0f} s)")
                told = True
            sleep(min(10.0, max(0.1, float(pause))))
    if state not in _FINAL and options.attempt is None and not options.quiet:
        terminal.note(f"job {number} is still {state}; this is what it has written so far")
    return stream


def _nothing(task: Mapping[str, Any]) -> str:
    if task["state"] in _FINAL:
        return f"job {task['id']} left nothing in /outputs: only what a job writes there is kept"
    return f"job {task['id']} has written nothing to /outputs yet"


def _remove_empty(directory: str) -> None:
    """Remove a directory in which nothing landed."""
    import os
    from contextlib import suppress

    with suppress(OSError):
        os.rmdir(directory)
