"""What a person wants, from words and back; quiet hours over midnight and over a change of the clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from labq.errors import BadInputError
from labq.notify import (
    EVENTS,
    Channel,
    Preferences,
    parse_channel,
    preferences,
    quiet_until,
    stored_preferences,
)


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def test_what_is_said_changes_and_the_rest_stays() -> None:
    old = preferences({"quiet": "22:00-08:00", "events": "failed"}, Preferences())
    new = preferences({"channel": "slack:#my-group", "longer_than": "5m"}, old)
    assert (new.events, new.quiet, new.channel, new.longer_than) == (
        ("failed",), "22:00-08:00", Channel("slack", "#my-group"), 300.0,
    )  # fmt: skip
    assert preferences({"quiet": None, "events": None}, new) == preferences(
        {"channel": "slack:#my-group", "longer_than": "5m"}, Preferences()
    )


@pytest.mark.parametrize(
    "wanted",
    [
        Preferences(),
        Preferences((), Channel("none"), "00:30-23:59", "Asia/Tokyo", False, 0.0),
        Preferences(tuple(EVENTS), Channel("webhook", "https://example.org/x?a=1")),
    ],
)
def test_what_is_stored_is_read_back(wanted: Preferences) -> None:
    assert preferences(wanted.to_wire(), Preferences()) == wanted


def test_of_what_another_version_stored_all_that_is_understood_holds() -> None:
    stored = {
        "channel": "none",
        "quiet": "22:00-08:00",
        "volume": 11,
        "events": ["failed", "exploded"],
        "zone": 5,
    }
    found = stored_preferences(json.dumps(stored))
    assert found == Preferences(("failed",), Channel("none"), "22:00-08:00")
    assert stored_preferences("{") == Preferences()
    assert stored_preferences("[1]") == Preferences()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "not an object"),
        ({"event": "failed"}, "did you mean events?"),
        ({"events": "faild"}, "did you mean failed?"),
        ({"events": [1]}, "are not legal"),
        ({"events": ""}, "event '' is not known"),
        ({"quiet": "22-8"}, "quiet hours '22-8'"),
        ({"quiet": "24:00-08:00"}, "24:00"),
        ({"quiet": "08:00-08:00"}, "08:00-08:00"),
        ({"zone": "Tokyo"}, "time zone 'Tokyo'"),
        ({"zone": "../../etc/passwd"}, "time zone"),
        ({"zone": "/etc/localtime"}, "time zone"),
        ({"digest": "yes"}, "write on or off"),
        ({"digest": 1}, "write on or off"),
        ({"longer_than": "soon"}, "longer_than 'soon'"),
        ({"longer_than": True}, "longer_than"),
        ({"longer_than": []}, "longer_than"),
        ({"longer_than": {"s": 1}}, "longer_than"),
        ({"channel": 5}, "channel '5'"),
    ],
)
def test_what_is_not_legal_is_quoted(body: Any, said: str) -> None:
    with pytest.raises(BadInputError) as error:
        preferences(body, Preferences())
    assert said in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "slack",
        "slack:#general",
        "slack:C012AB3CD",
        "mail:a.b+c@example.org",
        "webhook:http://h:8080/x?y=1",
        "none",
    ],
)
def test_a_channel_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_channel(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "email:a@b.c", "none:x", "slack:general", "slack:#General Chat", "slack:@ann", "slack:<!channel>", "mail:",
        "mail:a@b.c\nBcc: x@y.z", "mail:a@b.c,d@e.f", "mail:Ann <a@b.c>", "mail:a%b.example@lab.example", "mail:b.example!a@lab.example", "mail:" + "a" * 65 + "@b.c",
        "webhook:ftp://h/x", "webhook:https://", "webhook:https://user:secret@h/", "webhook:file:///etc/passwd",
        "webhook:http://h/ HTTP/1.1\r\nX: y", "webhook:http://h:99999/", "webhook:http://h/" + "x" * 600, "webhook:http://[::1",
    ],
)  # fmt: skip
def test_a_channel_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        parse_channel(text)


@pytest.mark.parametrize(
    ("quiet", "zone", "moment", "until"),
    [
        ("22:00-08:00", "UTC", "2026-01-05 21:59", None),
        ("22:00-08:00", "UTC", "2026-01-05 22:00", "2026-01-06 08:00"),
        ("22:00-08:00", "UTC", "2026-01-06 07:59", "2026-01-06 08:00"),
        ("22:00-08:00", "UTC", "2026-01-06 08:00", None),
        ("12:00-13:00", "UTC", "2026-01-06 12:30", "2026-01-06 13:00"),
        ("12:00-13:00", "UTC", "2026-01-06 11:30", None),
        ("22:00-08:00", "Asia/Tokyo", "2026-01-06 03:00", "2026-01-06 08:00"),
        # The clock is put forward at 2:00 and back at 3:00: eight in the morning is eight in the morning.
        ("22:00-08:00", "Europe/Berlin", "2026-03-28 23:00", "2026-03-29 08:00"),
        ("22:00-08:00", "Europe/Berlin", "2026-10-24 23:00", "2026-10-25 08:00"),
    ],
)
def test_quiet_hours_end_when_the_clock_on_the_wall_says_so(
    quiet: str, zone: str, moment: str, until: str | None
) -> None:
    found = quiet_until(quiet, zone, at(moment, zone))
    assert found == (None if until is None else at(until, zone))


def test_no_quiet_hours_and_a_zone_that_went_away() -> None:
    assert quiet_until("", "UTC", 0.0) is None
    night = datetime(2026, 1, 1, 23, 0, tzinfo=UTC).timestamp()
    assert quiet_until("22:00-08:00", "Mars/Base", night) == night + 9 * 3600
