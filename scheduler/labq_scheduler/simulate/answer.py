"""From a request of `labq simulate` to the answer: printed, and written into files."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from labq.errors import BadInputError
from labq.rules.read import Said, load, read
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.rules_of import rules_of
from labq_scheduler.simulate.picture import picture
from labq_scheduler.simulate.progress import Progress
from labq_scheduler.simulate.question import question_of
from labq_scheduler.simulate.runs import cores, replay_all
from labq_scheduler.simulate.table import rows_of, sentence, table_csv, table_json, table_text

_PSEUDONYMS = (
    "what the rules say of named people and groups does not hold for others than you: their names are made up "
    "here; an admin's replay is exact"
)


def answer(request: Mapping[str, Any]) -> None:
    """Replay what a request asks, and print or write the answer."""
    for name in ("csv", "picture"):
        if request.get(name):
            _check_writable(name, Path(request[name]))
            _check_is_no_other(name, request)
    past = request.get("history") or {}
    given = _rules(load(Path(request["rules"]))) if request.get("rules") else None
    present = _rules(read(past["rules"], "the lab's rules")) if past else None
    chosen = given or present or Rules()
    if past.get("pseudonyms") and (chosen.shares or chosen.groups or chosen.caps):
        sys.stderr.write(f"note: {_PSEUDONYMS}\n")
    question = question_of(request, given, present)
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


def _rules(said: Said) -> Rules:
    rules = rules_of(said)
    if rules.windows:
        sys.stderr.write("note: reservations of machines have dates; a replay leaves them out\n")
    return replace(rules, windows=())


def _check_is_no_other(flag: str, request: Mapping[str, Any]) -> None:
    """Do nothing when the answer overwrites nothing that is read, nor another answer.

    Raises:
        BadInputError: quoting the file.
    """
    path = Path(request[flag]).resolve()
    for other in ("trace", "rules", "picture" if flag == "csv" else "csv"):
        if request.get(other) and Path(request[other]).resolve() == path:
            what = "the trace" if other == "trace" else f"the file of --{other}"
            raise BadInputError(f"--{flag} {request[flag]} is {what}, too", "name another file")


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
