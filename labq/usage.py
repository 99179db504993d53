"""One row of use: what an agent measured on one GPU for one person in one hour. Pure.

Rows are *absolute* for (hour, node, epoch, gpu, user, outside) and only grow: writing one twice, or a newer one over
an older one, is always right; so nothing is lost or counted double, whoever dies (ADR 0008).
"""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds of a bucket.
HOUR = 3600


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Seconds that one person held one GPU in one hour, as one life of an agent saw it."""

    #: seconds since the epoch, a multiple of ``HOUR``
    hour: int
    node: str
    #: which life of the agent counted it; rows of several lives add up
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
