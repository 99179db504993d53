"""What `labq simulate` starts: reads one request, replays, prints the answer. People type `labq simulate`.

The verb's own process needs nothing but the standard library; this one needs labq[scheduler].
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from labq.errors import BadInputError, LabqError
from labq.program import exit_status
from labq.rules.read import load
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.rules_of import rules_of
from labq_scheduler.simulate.picture import picture
from labq_scheduler.simulate.progress import Progress
from labq_scheduler.simulate.question import question_of
from labq_scheduler.simulate.runs import cores, replay_all
from labq_scheduler.simulate.table import rows_of, sentence, table_csv, table_json, table_text


def main() -> int:
    """Answer the request in the file whose descriptor is the one argument; return the exit status."""
    return exit_status(lambda: _guarded(_request()))


def _request() -> dict[str, Any]:
    try:
        with os.fdopen(int(sys.argv[1])) as stream:
            found: dict[str, Any] = json.load(stream)
    except (IndexError, ValueError, OSError):
        raise BadInputError("this program is started by `labq simulate`", "labq simulate --help") from None
    return found


def _guarded(request: Mapping[str, Any]) -> None:
    try:
        answer(request)
    except BrokenPipeError:  # nobody reads on: `labq simulate … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise LabqError(f"{where}{error.strerror or error}", "choose another file or directory") from None
    except MemoryError:
        raise LabqError("there is not enough memory", "replay fewer jobs at once") from None


def answer(request: Mapping[str, Any]) -> None:
    """Replay what a request asks, and print or write the answer."""
    for name in ("csv", "picture"):
        if request.get(name):
            _check_writable(name, Path(request[name]))
    question = question_of(request, _rules(request))
    for note in question.notes:
        sys.stderr.write(f"note: {note}\n")
    work = question.work
    progress = Progress(sys.stderr, work.total * len(work.trace), work.total)
    try:
        outcomes = replay_all(work, progress, int(request.get("workers") or cores()))
    finally:
        progress.done()
    rows = rows_of(work.variants, outcomes)
    if request.get("json"):
        sys.stdout.write(json.dumps(table_json(rows, question.about()), ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.write(f"{question.title}\n\n{table_text(rows)}")
        if question.changed and work.variants[0].policy == work.variants[1].policy:
            sys.stdout.write(f"\n{sentence(rows[0], rows[1])}\n")
    sys.stdout.flush()
    if request.get("csv"):
        Path(request["csv"]).write_text(table_csv(rows), encoding="utf-8")
    if request.get("picture"):
        Path(request["picture"]).write_text(picture(rows, question.title), encoding="utf-8")
        sys.stderr.write(f"the picture is in {request['picture']}\n")


def _rules(request: Mapping[str, Any]) -> Rules:
    if not request.get("rules"):
        return Rules()
    rules = rules_of(load(Path(request["rules"])))
    if rules.windows:
        sys.stderr.write("note: reservations of machines in the rules have dates; a replay leaves them out\n")
    return replace(rules, windows=())


def _check_writable(flag: str, path: Path) -> None:
    """Do nothing when a file can be written there: that is not found out after minutes.

    Raises:
        BadInputError: quoting it.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise BadInputError(f"--{flag} {path}: there is no directory {folder}", "make it, or name another")
    if path.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise BadInputError(f"--{flag} {path} cannot be written", "name a file in a directory of yours")


if __name__ == "__main__":
    sys.exit(main())
