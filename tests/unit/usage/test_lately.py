"""Fair share asks at each decision; the ledger is asked every few seconds, and may be away."""

from __future__ import annotations

import pytest

from labq.errors import UnavailableError
from labq_scheduler.usage import lately as module
from labq_scheduler.usage.lately import Lately


class Ledger:
    """What is charged; or nothing can be said."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.away = False

    def charged(self, now: float) -> dict[str, float]:
        self.asked.append(now)
        if self.away:
            raise UnavailableError("Redis does not answer")
        return {"ann": now}


def test_the_ledger_is_asked_once_in_a_while() -> None:
    ledger = Ledger()
    lately = Lately(ledger.charged)
    assert [lately(1.0), lately(2.0)] == [{"ann": 1.0}, {"ann": 1.0}]
    assert ledger.asked == [1.0]


def test_when_it_cannot_be_had_what_was_last_known_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOLDS", -1.0)
    ledger = Ledger()
    lately = Lately(ledger.charged)
    assert lately(1.0) == {"ann": 1.0}
    ledger.away = True
    assert lately(2.0) == {"ann": 1.0}
    ledger.away = False
    assert lately(3.0) == {"ann": 3.0}


def test_a_ledger_that_never_answered_charges_nobody() -> None:
    ledger = Ledger()
    ledger.away = True
    assert Lately(ledger.charged)(1.0) == {}
