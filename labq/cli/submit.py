"""Queue a job: a directory with a Dockerfile, or an image that exists.

    labq submit . --gpus 1 --follow
    labq submit --image pytorch/pytorch:2.4.0 --gpus 24GB+ -- python -c 'import torch; print(torch.cuda.device_count())'
    labq submit . --array 0-9 --time 2h

A file labq.toml in the directory says the same things (docs/reference/spec.md); flags win over it.

Exit status: 0 queued; with --follow as the job ended: 0 succeeded, 1 failed, 2 cancelled. labq's own errors: 2 the request
is wrong (64 with --follow), 3 the token, 66 with --follow: not found, 69 no server answers, 74 with --follow: anything else.
"""

from __future__ import annotations

from labq.cli import flags
from labq.cli import parser as common
from labq.errors import BadInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.takes_command = True
    parser.add_argument(
        "directory", metavar="DIR", nargs="?", help="directory to build; `-- CMD…` overrides its command"
    )
    flags.declare(parser)
    parser.add_argument("--array", metavar="INDICES", help="many jobs in one request: 0-9, 1,5,7 or 0-100:10")
    parser.add_argument(
        "--dry-run", action="store_true", help="say where and when it would run; queue nothing"
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="show build, waiting and log until it ends"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print the id only")
    common.add_json(parser)


def run(options: Any) -> int:
    """Pack, upload, submit, print; perhaps follow."""
    from labq.cli import submitting, terminal

    _exclude(options)
    order = submitting.read_order(options)
    if not (options.quiet or options.json):
        submitting.warn_of_shell(options.command)
    client = common.client(options)
    client.session.on_away = terminal.note
    if options.dry_run:
        return submitting.dry_run(client, order, as_json=options.json)
    answer = submitting.send(client, order, quiet=options.quiet or options.json)
    if options.json:
        terminal.print_json(answer)
        return 0
    submitting.report(answer, quiet=options.quiet, follow=options.follow)
    if not options.follow:
        return 0
    from labq.cli.following import follow_job

    return follow_job(client, str(answer["id"]))


def _exclude(options: Any) -> None:
    if options.follow and options.json:
        raise BadInputError(
            "labq submit: --follow and --json exclude each other",
            "submit with --json, then labq logs -f ID",
        )
    if options.follow and options.array:
        raise BadInputError(
            "labq submit: --follow follows one job, --array makes many",
            "submit without --follow, then labq logs -f ID.INDEX",
        )
