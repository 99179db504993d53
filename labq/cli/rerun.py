"""Queue the same job again, with changes if you like: `labq rerun 12 --time 4h -- python train.py --resume`.

The new job keeps the image, the seed and everything else that no flag changes. Values of secrets are taken
from your environment again.
"""

from __future__ import annotations

from labq.cli import flags
from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.takes_command = True
    common.add_job(parser)
    flags.declare(parser)
    parser.add_argument(
        "--array", metavar="INDICES", help="as an array with these indices (an array keeps its own)"
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="show build, waiting and log until it ends"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print the id only")
    common.add_json(parser)


def run(options: Any) -> int:
    """Submit it again and print the new job."""
    import os

    from labq.cli import request, submitting, terminal
    from labq.clock import now

    client = common.client(options)
    view = client.job(options.id)
    if view.get("array") is True and view.get("jobs"):
        view = client.job(str(view["jobs"][0]["id"]))
    old = view.get("spec") or {}
    given = flags.given(options)
    spec = request.spec_of(given, old, options.command, environ=os.environ, now=now(), default_name=None)
    changes = {key: spec[key] for key in [*given, *(["command"] if options.command is not None else [])]}
    secrets = request.secret_values(spec.get("secrets", []), given.get("secrets", []), os.environ)
    answer = client.rerun(options.id, changes=changes, secrets=secrets, array=options.array)
    if options.json:
        terminal.print_json(answer)
        return 0
    submitting.report(answer, quiet=options.quiet, follow=options.follow)
    if not options.follow:
        return 0
    from labq.cli.following import follow_job

    return follow_job(client, str(answer["id"]))
