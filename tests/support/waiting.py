"""Waiting for what happens in another process, with a message that says what did not."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    predicate: Callable[[], T],
    timeout: float = 10.0,
    what: str = "the condition",
    *,
    interval: float = 0.02,
    hint: Callable[[], str] | None = None,
) -> T:
    """Polls until `predicate` returns something true, and returns that.

    Args:
        predicate: Asked again and again; an OSError or AssertionError counts as "not yet".
        timeout: Seconds until this fails.
        what: Completes the sentence "waited 10 s in vain for …".
        interval: Seconds between two questions.
        hint: Called on failure for more to show, e.g. the tail of a log.

    Raises:
        AssertionError: It never became true; carries the last answer or error.
    """
    deadline = time.monotonic() + timeout
    while True:
        last: object
        try:
            last = answer = predicate()
            if answer:
                return answer
        except (OSError, AssertionError) as error:
            last = error
        if time.monotonic() >= deadline:
            more = f"\n{hint()}" if hint else ""
            raise AssertionError(f"waited {timeout:g} s in vain for {what}; last: {last!r}{more}")
        time.sleep(interval)
