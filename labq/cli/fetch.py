"""Get the files that a job left in /outputs, however it ended: into labq-outputs/ID, or where --to says.

For an array, each task's files land in a directory of their own. Nothing is ever written outside of it.
"""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


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
    from labq.errors import ConflictError, NotFoundError

    client = common.client(options)
    view = client.job(options.id)
    base = options.to or os.path.join("labq-outputs", options.id)
    refused: list[str] = []

    def refuse(name: str, reason: str) -> None:
        refused.append(name)
        terminal.note(f"left out {clean(name)}: {clean(reason)}")

    several = view.get("array") is True
    total = 0
    for task in view["jobs"] if several else [view]:
        to = os.path.join(base, str(task["index"])) if several else base
        try:
            stream = client.outputs(str(task["id"]), attempt=options.attempt)
        except (NotFoundError, ConflictError) as error:
            if not several:
                raise
            terminal.note(f"{task['id']}: {error.what}")
            continue
        for path in extract(stream, to, refuse):
            total += 1
            if not options.quiet:
                print(clean(path))
        client.close()
    if not options.quiet:
        terminal.note(f"{total} file{'' if total == 1 else 's'} in {base}")
    return 1 if refused else 0
