"""What a person wants to be told, where, and when: their preferences, read from words and written back. Pure.

Lives here: ``Preferences`` (the same for command line, API and notifier), channels, quiet hours.
Must not live here: what a notice says, who sends it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from labq.errors import BadInputError, closest
from labq.units import parse_duration

#: What one can be told, with the sentence of the help.
EVENTS: dict[str, str] = {
    "failed": "a job of yours failed",
    "succeeded": "a job of yours succeeded",
    "cancelled": "somebody else cancelled a job of yours",
    "requeued": "a job of yours was preempted, or runs again after a failure or a lost node",
    "waiting": "a job of yours waits for something, or cannot start, and you can do something about it",
    "idle": "a job of yours holds GPUs and does not use them",
}
DEFAULT_EVENTS = ("failed", "succeeded", "cancelled", "requeued", "waiting", "idle")
#: Seconds; a job that succeeds faster has ended before its owner looked away.
DEFAULT_LONGER_THAN = 60.0

_QUIET = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)\Z")
#: Slack's ids, and its rule for names of channels (80 characters, no capitals).
_CHANNEL = re.compile(r"^(?:[CG][A-Z0-9]{6,20}|#[\w.-]{1,80})\Z")
#: Plain addresses only: no names, no comments, nothing that could end a header. And no % or !: mail servers (Postfix by
#: default) pass a%b.example@lab.example and b.example!a@lab.example on to a@b.example, where the lab may send nothing.
_MAIL = re.compile(r"^[A-Za-z0-9.#$&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\Z")
_ZONE = re.compile(r"^[A-Za-z][A-Za-z0-9_+/-]{0,63}\Z")
_MOST_URL = 500


@dataclass(frozen=True, slots=True)
class Channel:
    """Where a person is told."""

    #: "slack", "mail", "webhook" or "none"
    kind: str
    #: Slack: "" = a direct message, else #name or id; an address; a URL
    target: str = ""

    def __str__(self) -> str:
        """Return the words that :func:`parse_channel` reads."""
        return f"{self.kind}:{self.target}" if self.target else self.kind


@dataclass(frozen=True, slots=True)
class Preferences:
    """What one person wants to be told."""

    events: tuple[str, ...] = DEFAULT_EVENTS
    channel: Channel = Channel("slack")
    #: "22:00-08:00"; "" = never
    quiet: str = ""
    #: of the quiet hours, an IANA name
    zone: str = "UTC"
    #: one message for an array, or for jobs of one name that end together
    digest: bool = True
    #: seconds that a job must have run for its success to be told
    longer_than: float = DEFAULT_LONGER_THAN

    def wants(self, events: tuple[str, ...]) -> bool:
        """Return whether one of ``events`` is to be told at all."""
        return self.channel.kind != "none" and any(event in self.events for event in events)

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self) | {"events": list(self.events), "channel": str(self.channel)}


def preferences(body: Any, old: Preferences) -> Preferences:
    """Return ``old`` with what ``body`` changes.

    Args:
        body: JSON object with any of the keys of ``Preferences``; null = back to the default.
        old: what held before.

    Raises:
        BadInputError: quoting what is not legal.
    """
    if not isinstance(body, Mapping):
        raise BadInputError("the request is not an object", 'send {"events": ["failed"], "channel": "slack"}')
    found = old
    for key, value in body.items():
        if key not in _READERS:
            near = closest(str(key), list(_READERS))
            hint = f"did you mean {near}? " if near else ""
            raise BadInputError(f"unknown key {str(key)[:100]!r}", f"{hint}legal: {', '.join(_READERS)}")
        read = getattr(Preferences(), key) if value is None else _READERS[key](value)
        found = replace(found, **{key: read})
    return found


def stored_preferences(text: str) -> Preferences:
    """Return the preferences of a stored text: of what another version wrote, all that is understood here."""
    found = Preferences()
    try:
        body = json.loads(text)
    except ValueError:
        return found
    for key, value in body.items() if isinstance(body, dict) else ():
        if key == "events" and isinstance(value, list):
            value = [event for event in value if event in EVENTS]
        try:
            found = preferences({key: value}, found)
        except BadInputError:
            continue
    return found


def parse_events(said: Any) -> tuple[str, ...]:
    """Return the events of a comma-separated text or a list; "none" and "all" are words, too.

    Raises:
        BadInputError: quoting the one that does not exist.
    """
    words = [word.strip() for word in said.split(",")] if isinstance(said, str) else said
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise BadInputError(f"events {said!r} are not legal", f"write some of: {', '.join(EVENTS)}")
    if words == ["all"]:
        return tuple(EVENTS)
    if words == ["none"]:
        return ()
    for word in words:
        if word not in EVENTS:
            near = closest(word, list(EVENTS))
            hint = f"did you mean {near}? " if near else ""
            raise BadInputError(
                f"event {word[:100]!r} is not known", f"{hint}legal: {', '.join(EVENTS)}, all, none"
            )
    return tuple(event for event in EVENTS if event in words)


def parse_channel(said: Any) -> Channel:
    """Return the channel of ``slack``, ``slack:#name``, ``slack:C0123ABCD``, ``mail:a@b.c``, ``webhook:URL`` or ``none``.

    Raises:
        BadInputError: quoting it.
    """
    text = said if isinstance(said, str) else repr(said)
    kind, _, target = text.partition(":")
    legal = {
        "none": not target,
        "slack": not target or _CHANNEL.match(target) is not None,
        "mail": _MAIL.match(target) is not None and len(target) <= 254,
        "webhook": _is_url(target),
    }
    if not legal.get(kind, False):
        raise BadInputError(
            f"channel {text[:200]!r} is not legal",
            "write slack, slack:#channel, mail:you@example.org, webhook:https://… or none",
        )
    return Channel(kind, target)


def quiet_until(quiet: str, zone: str, now: float) -> float | None:
    """Return when the quiet hours end that ``now`` lies in, in seconds since the epoch; None = it lies in none.

    >>> quiet_until("22:00-08:00", "UTC", 23 * 3600.0), quiet_until("22:00-08:00", "UTC", 12 * 3600.0)
    (115200.0, None)
    """
    match = _QUIET.match(quiet)
    if match is None:
        return None
    begin, end = time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))
    here = datetime.fromtimestamp(now, UTC).astimezone(_zone(zone))
    clock = here.time().replace(tzinfo=None)
    inside = begin <= clock < end if begin < end else clock >= begin or clock < end
    if not inside:
        return None
    day = here.date() if clock < end else here.date() + timedelta(days=1)
    return datetime.combine(day, end, here.tzinfo).timestamp()


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return UTC  # its data went away with an upgrade: better told an hour late than never


def _is_url(text: str) -> bool:
    if len(text) > _MOST_URL or not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    # A name and password in a URL end up in logs of proxies.
    return (
        parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc and port != 0
    )


def _read_quiet(said: Any) -> str:
    text = str(said).strip()
    if text in {"", "off", "none", "never"}:
        return ""
    match = _QUIET.match(text)
    if match is None or text[:5] == text[6:]:
        raise BadInputError(f"quiet hours {text[:100]!r} are not legal", "write 22:00-08:00, or off")
    return text


def _read_zone(said: Any) -> str:
    text = str(said)[:65]
    if not _ZONE.match(text) or not isinstance(_zone(text), ZoneInfo):
        raise BadInputError(
            f"time zone {text!r} is not known here", "write one such as Asia/Tokyo, Europe/Berlin or UTC"
        )
    return text


def _read_digest(said: Any) -> bool:
    if isinstance(said, bool):
        return said
    words = {"on": True, "off": False}
    if not isinstance(said, str) or said not in words:
        raise BadInputError(f"digest {said!r} is not legal", "write on or off")
    return words[said]


def _read_longer_than(said: Any) -> float:
    return 0.0 if said in (0, "0", "0s") else parse_duration(said, "longer_than")


_READERS: dict[str, Any] = {
    "events": parse_events,
    "channel": parse_channel,
    "quiet": _read_quiet,
    "zone": _read_zone,
    "digest": _read_digest,
    "longer_than": _read_longer_than,
}
