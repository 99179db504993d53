"""Who may start while an earlier job waits for its reservation: by when must it have ended? Pure."""

from __future__ import annotations

from labq_scheduler.policy.reserve import Reservation
from labq_scheduler.policy.rules import Passing, Rules


def finish(
    reservation: Reservation | None, rules: Rules, *, now: float, safe: float, limit: float, parts: float
) -> float:
    """Return when a job that starts now is to have ended in the eyes of the reservation: seconds since the epoch.

    Args:
        reservation: of the job that must not be delayed; None = there is none.
        rules: the lab's.
        now: seconds since the epoch.
        safe: seconds that the job will run, safely.
        limit: seconds until it is killed, the grace included; infinite when it has no limit.
        parts: how many fair parts of the lab its owner holds now.
    """
    if reservation is not None and reservation.hard:
        return now + limit
    if reservation is None or rules.passing is Passing.ANY:
        return now
    margin = rules.pass_margin * (1.0 + rules.pass_margin_over * max(0.0, parts - 1.0))
    return now + min(margin * safe, limit)
