"""Going on when Redis or the engine is away: wait, try again, for ever; containers run on meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from labq.errors import UnavailableError
from labq_worker.engine_errors import EngineAwayError

T = TypeVar("T")
log = logging.getLogger(__name__)
FIRST_WAIT, LONGEST_WAIT = 0.1, 2.0


def until_it_answers(call: Callable[[], T], what: str) -> T:
    """Return what ``call`` returns, trying again while Redis or the engine does not answer.

    Args:
        call: idempotent; made again after each failure.
        what: completes the log line "waiting to …".
    """
    wait, told = FIRST_WAIT, False
    pause = threading.Event()
    while True:
        try:
            found = call()
        except (UnavailableError, EngineAwayError) as error:
            if not told:
                log.warning("waiting to %s: %s", what, error)
            told = True
            pause.wait(wait)
            wait = min(LONGEST_WAIT, wait * 2)
        else:
            if told:
                log.info("it answers again; went on to %s", what)
            return found
