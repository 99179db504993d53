"""What a query string of /v1/usage asks."""

from __future__ import annotations

import pytest

from labq.errors import BadInputError
from labq_scheduler.verbs.usage import UsageQuestion, parse

NOW = 1_800_000_000.0


def test_nothing_said_is_the_last_week_by_user() -> None:
    assert parse({}, now=NOW) == UsageQuestion("user", NOW - 7 * 86_400, NOW)


def test_a_window_may_be_said_in_durations_and_in_times() -> None:
    said = {"by": "node", "since": "2027-01-01T00:00:00Z", "until": "1d", "user": "ann"}
    assert parse(said, now=NOW) == UsageQuestion("node", 1_798_761_600.0, NOW - 86_400, "ann")


def test_the_future_is_cut_off() -> None:
    assert parse({"until": "2030-01-01T00:00:00Z"}, now=NOW).until == NOW


@pytest.mark.parametrize(
    ("query", "what", "then"),
    [
        ({"by": "usr"}, "by 'usr' is not known", "did you mean user?"),
        ({"since": "yesterday"}, "since 'yesterday' is neither", "write 2h"),
        ({"until": "x"}, "until 'x' is neither", "write 2h"),
        ({"since": "1d", "until": "2d"}, "is not before until", "earlier since"),
        ({"form": "1d"}, "unknown parameter 'form'", "legal: by, since, until, user"),
    ],
)
def test_what_is_wrong_is_named(query: dict[str, str], what: str, then: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse(query, now=NOW)
    assert what in caught.value.what
    assert then in caught.value.next
