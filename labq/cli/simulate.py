"""What would be if: replay jobs on other machines, or under other rules, by the very policy of the server.

    labq simulate jobs.csv --machines 14x4                   a trace: who would have waited how long, under which policy
    labq simulate --history --add 2x1:4090:24GB              the lab's own jobs: what would two more 4090s do?
    labq simulate --history --rules rules.toml               the same under other rules
    labq simulate jobs.csv --machines 4x2:t4:16GB,1x8:a100:80GB --compare fifo,own --picture waits.svg

A trace is CSV (also .csv.gz) with the columns user, submit_s, duration_s, gpus, and maybe job_id, name, gpu_model, limit_s.
Machines are NODESxGPUS[:MODEL[:MEMORY]], joined by commas. Policies: fifo, fifo-skip, easy-none, easy-pred, easy-oracle,
mf-easy-pred, and labq's under its default rules (default), those in force (present; --history) or those of --rules (own).
Scores are told against the first of --compare.
Nothing is changed, and no job is run.
"""

from __future__ import annotations

from labq.cli import parser as common
from labq.errors import BadInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

#: flag -> (metavar, help)
_TEXTS = {
    "--machines": (
        "MACHINES",
        "on these: 14x4, or 4x2:t4:16GB,1x8:a100:80GB (--history: the lab's, without it)",
    ),
    "--add": ("MACHINES", "and once more with these added: 2x1:4090:24GB"),
    "--remove": ("MACHINES", "and once more without these: names of nodes, or 2x4:t4"),
    "--rules": (
        "FILE",
        "rules that `own` follows; without it those in force (--history), else labq's defaults",
    ),
    "--compare": ("POLICIES", "names with commas between; the first is what others are compared with"),
    "--since": ("WHEN", "with --history: jobs submitted since then: 90d (default), or an RFC 3339 time"),
    "--csv": ("FILE", "write the table there, for a spreadsheet"),
    "--picture": ("FILE", "write a picture of it there (SVG)"),
}
_SHAKE = 3


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument("trace", metavar="TRACE", nargs="?", help="CSV file of jobs")
    parser.add_argument("--history", action="store_true", help="replay the lab's own jobs that are over")
    for flag, (metavar, text) in _TEXTS.items():
        parser.add_argument(flag, metavar=metavar, help=text)
    parser.add_argument(
        "--limit-runtime", metavar="TIME", type=common.duration,
        help="every job has this time limit, and is stopped at it: 7d",
    )  # fmt: skip
    parser.add_argument(
        "--shake", metavar="N", type=common.whole, default=_SHAKE,
        help=f"replays, with submissions moved by up to 30 min ({_SHAKE}); 0 = one, as they came",
    )  # fmt: skip
    parser.add_argument("--seed", metavar="N", type=common.whole, default=0, help="of the moving (0)")
    parser.add_argument(
        "--workers", metavar="N", type=common.whole, default=0, help="replays at a time (one for each core)"
    )
    common.add_json(parser)


def run(options: Any) -> NoReturn:
    """Check, ask the server for what is over, and become the simulator."""
    _check(options)
    names = ("trace", "limit_runtime", "shake", "seed", "workers", "json", *(_name(flag) for flag in _TEXTS))
    request: dict[str, Any] = {name: getattr(options, name) for name in names}
    if options.history:
        request["history"] = _history(options)
    _become_simulator(request)


def _name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _check(options: Any) -> None:
    if bool(options.trace) == options.history:
        both = "both a trace and --history were given" if options.history else "no jobs were given"
        raise BadInputError(
            f"labq simulate: {both}", "name a CSV file, or say --history for the lab's own jobs"
        )
    if options.since and not options.history:
        raise BadInputError("--since without --history", "a trace is replayed from its first job")
    if options.trace and not options.machines:
        raise BadInputError("--machines is missing", "say on which machines: --machines 14x4")


def _history(options: Any) -> dict[str, Any]:
    client = common.client(options)
    past = client.history(since=options.since)
    if not past["jobs"]:
        raise BadInputError(
            f"no job that ran and is over was submitted since {past['since']}",
            "look further back: --since 180d",
        )
    if past["cut"]:
        from labq.cli import terminal

        terminal.note(f"note: only the newest {len(past['jobs'])} jobs are replayed; there are older ones")
    return {**past, "nodes": client.nodes()}


def _become_simulator(request: dict[str, Any]) -> NoReturn:
    """Replace this process: Ctrl-C, exit status and output are then the simulator's own.

    It cannot be imported: the command line is of use without the server's libraries (ADR 0006).
    """
    import json
    import os
    import sys
    from tempfile import TemporaryFile

    with TemporaryFile("w+", encoding="utf-8") as stream:
        json.dump(request, stream)
        stream.seek(0)
        os.set_inheritable(stream.fileno(), True)
        # -P: a file named csv.py in the directory of the traces is not Python's.
        argv = [sys.executable, "-P", "-m", "labq_scheduler.simulate", str(stream.fileno())]
        os.execv(sys.executable, argv)  # noqa: S606 # no shell is wanted
