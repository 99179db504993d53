"""Notify: what one wants to be told, and what became of notices that could not be sent."""

from __future__ import annotations

import secrets
from typing import Any

from labq import notify
from labq.clock import rfc3339
from labq.errors import BadInputError, ConflictError, NotFoundError
from labq.notify import Preferences
from labq.store import NewNotice, Notice, Person
from labq_scheduler.notify.allowed import Allowed
from labq_scheduler.notify.news import News
from labq_scheduler.verbs.lab import Lab

#: Seconds between two tests of one place: an address or a webhook may be somebody else's.
TEST_EVERY = 30.0


def show(lab: Lab, person: Person) -> dict[str, Any]:
    """Return what a person wants to be told, and whether that reaches them."""
    notices = lab.store.notices
    wanted, waiting, kinds = notices.preferences(person.name), notices.lane(person.name), notices.alive()
    head = notices.get(waiting[0]) if waiting else None
    tested = notices.last_test(person.name)
    said = (head.error if head else "") or (tested.error if tested and tested.state == "dead" else "")
    return wanted.to_wire() | {
        "problem": problem(wanted, kinds, person, lab.site.allowed) or said or None,
        "waiting": len(waiting),
    }


def change(lab: Lab, person: Person, body: Any) -> dict[str, Any]:
    """Change what a person wants to be told.

    Raises:
        BadInputError: quoting what is not legal.
    """
    notices, before = lab.store.notices, lab.store.notices.preferences(person.name)
    wanted = notify.preferences(body, before)
    if wanted.channel != before.channel:
        lab.site.allowed.check(wanted.channel)
        notices.note_test(person.name, "")  # what came of it says nothing of the new channel
    notices.put_preferences(person.name, wanted)
    return show(lab, person)


def test(lab: Lab, person: Person, *, now: float) -> dict[str, Any]:
    """Send a notice that says nothing, whatever the hour.

    Raises:
        ConflictError: it would not arrive, the last one is still on its way, or there was one a moment ago; says why.
    """
    wanted = lab.store.notices.preferences(person.name)
    last = lab.store.notices.last_test(person.name)
    if last is not None and last.state in {"made", "sending"}:
        raise ConflictError(
            f"a test is on its way since {rfc3339(last.made_at)}" + (f": {last.error}" if last.error else ""),
            "wait for it; labq notify says what keeps it",
        )
    found = problem(wanted, lab.store.notices.alive(), person, lab.site.allowed)
    if found:
        raise ConflictError(f"no notice can be sent: {found}", "labq notify set --channel …; labq notify")
    place = str(wanted.channel) if wanted.channel.target else person.name
    left = lab.store.notices.pace(f"test {place}", TEST_EVERY)
    if left > 0:
        raise ConflictError(
            f"a test was sent to {wanted.channel} a moment ago", f"again in {max(1, round(left))} s"
        )
    notice_id = f"test-{secrets.token_hex(8)}"
    item = News(kind="test", events=(), owner=person.name, at=now).to_json()
    lab.store.notices.note_test(person.name, notice_id)
    lab.store.notices.make([NewNotice(notice_id, person.name, "test", item)], now=now)
    return {"id": notice_id, "channel": str(wanted.channel)}


def problem(wanted: Preferences, kinds: list[str] | None, person: Person, allowed: Allowed) -> str:
    """Return why a person would not be told anything; "" = they would. Pure.

    Args:
        wanted: what they want.
        kinds: of channels that the lab's notifier sends to; None = there is no notifier.
        person: who they are.
        allowed: where the lab sends notices.
    """
    channel = wanted.channel
    if channel.kind == "none":
        return "your channel is none"
    if kinds is None:
        return "no labq-notifier runs in this lab; an admin can start it"
    if channel.kind not in kinds:
        return f"this lab sends nothing by {channel.kind}; its channels: {', '.join(kinds)}"
    if channel.kind == "slack" and not channel.target and not person.slack_id:
        return (
            f"nobody knows who you are in Slack; an admin can say it: labq user set {person.name} --slack ID"
        )
    try:
        allowed.check(channel)
    except BadInputError as error:  # it was chosen before the settings said otherwise
        return f"{error.what}; {error.next}"
    return ""


def dead(lab: Lab, person: Person) -> list[dict[str, Any]]:
    """Return the dead letters, the latest first: one's own, or everybody's for an admin."""
    return [_view(notice) for notice in _dead(lab, person)]


def forget(lab: Lab, person: Person, notice_id: str) -> dict[str, Any]:
    """Forget a dead letter of one's own, or any for an admin.

    Raises:
        NotFoundError: there is none of that id.
    """
    found = _one(lab, person, notice_id)
    if not lab.store.notices.forget_dead(notice_id):
        raise _missing(notice_id)
    return _view(found)


def forget_all(lab: Lab, person: Person) -> dict[str, Any]:
    """Forget all one's own dead letters, or everybody's for an admin."""
    gone = [one.id for one in _dead(lab, person) if lab.store.notices.forget_dead(one.id)]
    return {"forgotten": len(gone)}


def retry(lab: Lab, person: Person, notice_id: str, *, now: float) -> dict[str, Any]:
    """Put a dead letter of one's own, or any for an admin, back behind what its person is still to be told.

    Raises:
        NotFoundError: there is none of that id.
    """
    _one(lab, person, notice_id)
    if not lab.store.notices.retry(notice_id, now=now):
        raise _missing(notice_id)
    found = lab.store.notices.get(notice_id)
    if found is None:
        raise _missing(notice_id)
    return _view(found)


def _dead(lab: Lab, person: Person) -> list[Notice]:
    return lab.store.notices.dead(None if person.admin else person.name)


def _one(lab: Lab, person: Person, notice_id: str) -> Notice:
    found = lab.store.notices.get(notice_id)
    if found is None or found.state != "dead" or not (person.admin or found.lane == person.name):
        raise _missing(notice_id)
    return found


def _missing(notice_id: str) -> NotFoundError:
    return NotFoundError(f"there is no dead letter {notice_id[:100]!r}", "labq notify dead lists them")


def _view(notice: Notice) -> dict[str, Any]:
    return {
        "id": notice.id,
        "user": notice.lane,
        "kind": notice.kind,
        "job": _job(notice),
        "made_at": rfc3339(notice.made_at),
        "tries": notice.tries,
        "error": notice.error,
    }


def _job(notice: Notice) -> str:
    """Return the job of a notice; "" when it is about none, or cannot be read: for that it may have become a dead letter."""
    try:
        return News.from_json(notice.items[0]).job if notice.items else ""
    except (ValueError, TypeError, AttributeError):
        return ""
