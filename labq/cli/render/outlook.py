"""When a job is expected to start, for people. Pure, but for the time zone of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from labq.cli.render.moments import about, epoch
from labq.cli.render.text import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WEEK = 6 * 86400
#: Seconds after which an estimate says how old it is.
_OLD = 20.0


def moment(text: str, now: float) -> str:
    """Return a time as people say it: ``today 14:20``, ``tomorrow 02:00``, ``Tue 09:15``, ``2026-12-24 18:00``."""
    from time import localtime, strftime

    at = epoch(text) or 0.0
    then, today = localtime(at), localtime(now)
    clock = strftime("%H:%M", then)
    if then[:3] == today[:3]:
        return f"today {clock}"
    if then[:3] == localtime(now + 86400)[:3]:
        return f"tomorrow {clock}"
    return strftime("%a %H:%M", then) if 0 < at - now < _WEEK else strftime("%Y-%m-%d %H:%M", then)


def short(text: str | None, now: float) -> str:
    """Return a likely start for a table: ``soon``, ``~14:20``, ``~Tue 09:15``, ``~24 Dec``; "?" for None."""
    from time import localtime, strftime

    at = epoch(text)
    if at is None:
        return "?"
    if at - now < 60:
        return "soon"
    form = "%H:%M" if at - now < 20 * 3600 else "%a %H:%M" if at - now < _WEEK else "%d %b"
    return "~" + strftime(form, localtime(at))


def lines(answer: Mapping[str, Any], now: float) -> Iterator[str]:
    """Yield what `labq why` and `labq submit --dry-run` say besides the reason.

    Args:
        answer: with ``estimate``, ``no_estimate``, ``starts_by`` and ``sooner``.
        now: seconds since the epoch.
    """
    estimate = answer.get("estimate")
    if estimate:
        yield f"estimated start: {_estimate(estimate, now)}{_age(estimate, now)}"
    elif answer.get("no_estimate"):
        yield f"estimated start: {clean(answer['no_estimate'])}"
    if answer.get("starts_by"):
        yield f"it starts by {moment(answer['starts_by'], now)} at the latest: the lab's wait bound"
    told = answer.get("sooner") or []
    for place, one in enumerate(told):
        when = "now" if not one.get("start") else moment(one["start"], now)
        head = "sooner would be: " if not place else " " * 17
        yield f"{head}{clean(one['text'])} ({clean(one['flag'])}): {when} on {clean(one['node'])}"


def _age(estimate: Mapping[str, Any], now: float) -> str:
    """Return how old an estimate is, when it is old enough to say so."""
    at = epoch(estimate.get("as_of"))
    return "" if at is None or now - at < _OLD else f"; as of {about(now - at)} ago"


def _estimate(estimate: Mapping[str, Any], now: float) -> str:
    likely, early, late = estimate.get("likely"), estimate.get("early"), estimate.get("late")
    looked = estimate.get("looked_until")
    beyond = f"after {moment(looked, now)}" if looked else "never"
    if not likely and not early and not looked:
        return "none, as long as that is so"
    if not likely:
        return beyond if not early else f"not before {moment(early, now)}, likely {beyond}"
    on = f", on {clean(estimate['node'])}" if estimate.get("node") else ""
    said = moment(likely, now)
    if early == late:
        return said + on
    first = moment(early, now) if early else said
    last = moment(late, now) if late else beyond
    if first == last:
        return said + on
    day = said.rpartition(" ")[0]
    first = first.removeprefix(f"{day} ")
    return f"{said} (between {first} and {last.removeprefix(f'{day} ')}){on}"
