"""Who may what in Slack, and the verbs behind ``/labq`` and the buttons: the same as the server's."""

from __future__ import annotations

import logging
from typing import Any

from labq.clock import now
from labq.errors import LabqError
from labq.store import Person
from labq_scheduler.notify import answers, commands
from labq_scheduler.notify.commands import Command
from labq_scheduler.verbs import cancel, keep, show
from labq_scheduler.verbs.lab import Lab

log = logging.getLogger(__name__)


class TwoWay:
    """Answers requests. For several threads."""

    def __init__(self, lab: Lab) -> None:
        """Use the parts of a server; its board is started by the caller."""
        self._lab = lab

    def slash(self, payload: dict[str, Any]) -> str:
        """Return the answer to ``/labq …``."""
        return self._answer(
            str(payload.get("user_id") or ""), lambda: commands.parse(str(payload.get("text") or ""))
        )

    def pressed(self, payload: dict[str, Any]) -> str | None:
        """Return the answer to a pressed button; None = it only opened a link."""
        slack_id = str((payload.get("user") or {}).get("id") or "")
        try:
            command = commands.button(payload)
        except LabqError as error:
            return answers.refused(error)
        return None if command is None else self._answer(slack_id, lambda: command)

    def _answer(self, slack_id: str, read: Any) -> str:
        try:
            person = self._person(slack_id)
            return answers.stranger(slack_id) if person is None else self._run(read(), person)
        except LabqError as error:
            return answers.refused(error)
        except Exception:
            log.exception("a request of %s in Slack failed", slack_id)
            return "labq could not do that; its log says why."

    def _person(self, slack_id: str) -> Person | None:
        if not slack_id:
            return None
        found = [one for one in self._lab.store.people.all() if one.slack_id == slack_id and not one.agent]
        # Two people with one Slack id: nobody can say who it is.
        return found[0] if len(found) == 1 else None

    def _run(self, command: Command, person: Person) -> str:
        lab, at = self._lab, now()
        match command.verb:
            case "why":
                said = show.why(lab, command.job)
                return f"{said['id']} {said['state']}: {said['why']}"
            case "cancel":
                done = cancel.cancel(lab, person, command.job, now=at)
                log.info("%s cancelled job %s in Slack", person.name, command.job)
                return answers.cancelled(command.job, done)
            case "keep":
                _, seconds = keep.keep(lab, person, command.job, None)
                return answers.kept(command.job, seconds)
            case "status":
                lab.board.require_loaded()
                return answers.status(
                    [node for node, _ in lab.board.nodes()], list(lab.board.jobs.values()), at
                )
            case "my":
                lab.board.require_loaded()
                mine = [job for job in list(lab.board.jobs.values()) if job.owner == person.name]
                why = {job.id: lab.board.why(job.id) or "" for job in mine[:200]}
                return answers.mine(mine, why, at)
            case _:
                return answers.help_text()
