"""Which notices come of what happened: who wants it, at once or later, alone or with others. Pure, but for tables it is given."""

from __future__ import annotations

import hashlib

from labq.notify import Preferences, quiet_until
from labq.store import NewNotice
from labq_scheduler.notify.news import News

#: Seconds: jobs of one name that end within so long of each other are one sweep.
SWEEP = 60.0


def notice(
    news: News, notice_id: str, wanted: Preferences, at: float, *, alone: bool = False
) -> NewNotice | None:
    """Return the notice of one thing that happened; None when its owner does not want it.

    Args:
        news: what happened.
        notice_id: made from what makes it unique (the event's id): the same thing seen twice is one notice.
        wanted: what the owner wants to be told.
        at: when they would be told it, seconds since the epoch: a notifier that was away reads what happened by day
            in the night.
        alone: it is not gathered with others (but held in quiet hours).
    """
    if not _is_wanted(news, wanted):
        return None
    item = news.to_json()
    until = None if news.kind == "test" else quiet_until(wanted.quiet, wanted.zone, at)
    # What ends before the quiet hours do is no use afterwards.
    if until is not None and (news.ends_at is None or news.ends_at > until):
        return NewNotice(notice_id, news.owner, news.kind, item, f"quiet:{news.owner}", until)
    if alone or not wanted.digest or news.kind in {"test", "array"}:
        return NewNotice(notice_id, news.owner, news.kind, item)
    # Tasks of one array, and jobs of one name, that end together; warnings are not mixed with ends. A requeue is an end
    # of an attempt: gathered apart, it could be told after the end of the job.
    alike = news.kind if news.kind in {"waiting", "idle"} else "ended"
    name = hashlib.sha256(f"{news.owner}\0{news.array}\0{news.name}\0{alike}".encode()).hexdigest()[:24]
    return NewNotice(notice_id, news.owner, news.kind, item, f"sweep:{name}", window=SWEEP)


def _is_wanted(news: News, wanted: Preferences) -> bool:
    if wanted.channel.kind == "none":
        return False
    if not news.events:
        return True
    if not wanted.wants(news.events):
        return False
    return news.kind != "succeeded" or (news.duration or 0.0) >= wanted.longer_than
