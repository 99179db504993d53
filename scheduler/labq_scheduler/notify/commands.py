"""What somebody types behind ``/labq``, and which button they press: which verb, on which job. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labq.errors import BadInputError, closest
from labq.ids import check_job_id

#: Verb, whether it wants a job, and what it does.
VERBS: dict[str, tuple[bool, str]] = {
    "status": (False, "machines and queue"),
    "my": (False, "your jobs"),
    "why": (True, "why a job waits"),
    "cancel": (True, "stop a job of yours"),
    "help": (False, "this"),
}


@dataclass(frozen=True, slots=True)
class Command:
    """One request of somebody in Slack."""

    verb: str
    #: "" = the verb wants none
    job: str = ""


def parse(text: str) -> Command:
    """Return the command of what stands behind ``/labq``; nothing is a request for help.

    Raises:
        BadInputError: quoting what is not known.
    """
    words = text.split() or ["help"]
    verb = words[0].lower()
    if verb not in VERBS:
        near = closest(verb, list(VERBS))
        hint = f"did you mean {near}? " if near else ""
        raise BadInputError(
            f"/labq has no command {verb[:50]!r}", f"{hint}legal: {', '.join(VERBS)}"
        )  # fmt: skip
    wants_job, _ = VERBS[verb]
    if len(words) != (2 if wants_job else 1):
        raise BadInputError(
            f"/labq {verb} takes {'one job' if wants_job else 'nothing more'}",
            f"/labq {verb}{' 12' if wants_job else ''}",
        )
    return Command(verb, check_job_id(words[1]) if wants_job else "")


def button(payload: Mapping[str, Any]) -> Command | None:
    """Return the command of a pressed button; None when it only opened a link.

    Raises:
        BadInputError: its job has no legal id.
    """
    for action in payload.get("actions") or ():
        said = str(action.get("action_id") or "")
        if said in {"labq_cancel", "labq_keep"}:
            return Command(said.removeprefix("labq_"), check_job_id(str(action.get("value") or "")))
    return None
