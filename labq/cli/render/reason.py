"""What the server says of a job, for people: its times (UTC) in the zone of this machine. Pure, but for that zone."""

from __future__ import annotations

import re

from labq.cli.render.outlook import moment
from labq.cli.render.text import clean

#: As labq.clock.rfc3339 writes it, and as the rules say when a reservation is: 2026-12-01 22:00 UTC.
_TIMES = re.compile(r"\b(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?:(:\d\d(?:\.\d+)?)Z| UTC)")


def reason(text: str, now: float) -> str:
    """Return why a job waits, on one line.

    Args:
        text: the server's sentence.
        now: seconds since the epoch.
    """
    return _TIMES.sub(lambda found: moment(f"{found[1]}T{found[2]}{found[3] or ':00'}Z", now), clean(text))
