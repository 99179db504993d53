"""Notify: what one wants to be told, and what an admin sees of notices that nobody could be sent."""

from __future__ import annotations

import secrets
from typing import Any

from labq import notify
from labq.clock import rfc3339
from labq.errors import ConflictError, NotFoundError
from labq.notify import Preferences
from labq.store import NewNotice, Notice, Person
from labq_scheduler.notify.news import News
from labq_scheduler.verbs.lab import Lab


def show(lab: Lab, person: Person) -> dict[str, Any]:
    """Return what a person wants to be told, and whether that reaches them."""
    notices = lab.store.notices
    wanted, waiting, kinds = notices.preferences(person.name), notices.lane(person.name), notices.alive()
    head = notices.get(waiting[0]) if waiting else None
    return wanted.to_wire() | {
        "problem": problem(wanted, kinds, person) or (head.error if head else "") or None,
        "waiting": len(waiting),
    }


def change(lab: Lab, person: Person, body: Any) -> dict[str, Any]:
    """Change what a person wants to be told.

    Raises:
        BadInputError: quoting what is not legal.
    """
    wanted = notify.preferences(body, lab.store.notices.preferences(person.name))
    lab.store.notices.put_preferences(person.name, wanted)
    return show(lab, person)


def test(lab: Lab, person: Person, *, now: float) -> dict[str, Any]:
    """Send a notice that says nothing, whatever the hour.

    Raises:
        ConflictError: it would not arrive; says why.
    """
    wanted = lab.store.notices.preferences(person.name)
    found = problem(wanted, lab.store.notices.alive(), person)
    if found:
        raise ConflictError(f"no notice can be sent: {found}", "labq notify set --channel …; labq notify")
    notice_id = f"test-{secrets.token_hex(8)}"
    item = News(kind="test", events=(), owner=person.name, at=now).to_json()
    lab.store.notices.make([NewNotice(notice_id, person.name, "test", item)], now=now)
    return {"id": notice_id, "channel": str(wanted.channel)}


def problem(wanted: Preferences, kinds: list[str] | None, person: Person) -> str:
    """Return why a person would not be told anything; "" = they would. Pure.

    Args:
        wanted: what they want.
        kinds: of channels that the lab's notifier sends to; None = there is no notifier.
        person: who they are.
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
    return ""


def dead(lab: Lab) -> list[dict[str, Any]]:
    """Return the dead letters, the latest first."""
    return [_view(notice) for notice in lab.store.notices.dead()]


def retry(lab: Lab, notice_id: str, *, now: float) -> dict[str, Any]:
    """Put a dead letter back, behind what its person is still to be told.

    Raises:
        NotFoundError: there is none of that id.
    """
    if not lab.store.notices.retry(notice_id, now=now):
        raise NotFoundError(f"there is no dead letter {notice_id[:100]!r}", "labq notify dead lists them")
    found = lab.store.notices.get(notice_id)
    if found is None:
        raise NotFoundError(f"dead letter {notice_id[:100]!r} is gone", "labq notify dead lists them")
    return _view(found)


def _view(notice: Notice) -> dict[str, Any]:
    news = News.from_json(notice.items[0]) if notice.items else None
    return {
        "id": notice.id,
        "user": notice.lane,
        "kind": notice.kind,
        "job": news.job if news else "",
        "made_at": rfc3339(notice.made_at),
        "tries": notice.tries,
        "error": notice.error,
    }
