"""One row of use: what an agent measured on one GPU for one person in one hour. Pure.

Rows are *absolute* for (hour, node, epoch, gpu, user, outside) and only grow: writing one twice, or a newer one over
an older one, is always right; so nothing is lost or counted double, whoever dies (ADR 0008).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Seconds of a bucket.
HOUR = 3600
#: Letters that the table of records has room for; PostgreSQL refuses a row with more.
LONGEST: Mapping[str, int] = {"node": 64, "epoch": 128, "gpu": 128, "model": 256, "user": 128}
#: GPU-seconds that one row may say. A meter never says more than ``HOUR``; those of older agents could, by a gap.
MOST = 2 * HOUR
#: Seconds by which sums of parts may differ from the sum.
ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Seconds that one person held one GPU in one hour, as one life of an agent saw it."""

    #: seconds since the epoch, a multiple of ``HOUR``
    hour: int
    node: str
    #: which life of the agent, by which setting of the clock, counted it; rows of several add up
    epoch: str
    gpu: str
    model: str
    user: str
    #: True = by processes that the queue did not start
    outside: bool
    #: GPU-seconds held (a GPU that n people hold gives each 1/n)
    held: float
    #: GPU-seconds of those in which the GPU was really busy for this person
    busy: float


def fitting(text: str, longest: int) -> str:
    """Return a text as a row can carry it: owner labels are free text, and names of accounts any bytes."""
    return text.replace("\0", "?").encode("utf-8", "replace").decode()[:longest]


def flaw(row: UsageRow) -> str:
    """Return what is wrong with a row that somebody else wrote; "" = nothing.

    Nothing is taken for granted, not even the types: what is let through goes into sums and into the database.
    """
    for name, longest in LONGEST.items():
        text = getattr(row, name)
        if type(text) is not str or text != fitting(text, longest) or not (text or name == "model"):
            return f"{name} is not a text of 1 to {longest} letters"
    if type(row.hour) is not int or row.hour < 0 or row.hour % HOUR:
        return "hour is not a full hour since the epoch"
    if row.outside not in (True, False):
        return "the side is neither in nor out"
    if type(row.held) not in (int, float) or type(row.busy) not in (int, float):
        return "held or busy is not a number"
    # Written so that NaN is wrong too.
    if not (0 <= row.held <= MOST and 0 <= row.busy <= row.held + ROUNDING):
        return f"not 0 <= busy <= held <= {MOST} seconds"
    return ""
