"""From a started container to its last byte. A stream that ends means "look", never "the container has ended"."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from labq.clock import now
from labq_worker.attempts import Attempt
from labq_worker.containers import Seen, Stream
from labq_worker.context import Context
from labq_worker.engine_errors import EngineAwayError, NoSuchContainerError
from labq_worker.logs import AttemptLog
from labq_worker.peak_memory import peak_file, read_peak
from labq_worker.retry import until_it_answers

#: Seconds that the engine may need from the last byte to the state "exited".
SETTLE = 2.0
#: A live stream that ends this close to the container's end has brought everything. One that ended earlier was
#: broken off; one that ended later was slow, and the engine gives a slow reader 2 s.
EARLY, LATE = 0.5, 1.5
#: Seconds that ``docker rm -f`` needs from its SIGKILL until the container is gone.
REMOVAL = 0.5


def follow(context: Context, attempt: Attempt, stream: Stream | None) -> tuple[Seen | None, list[str]]:
    """Write the log until the container has ended.

    Args:
        context: the parts.
        attempt: whose container it is.
        stream: live output from before the start; None when there is none (adopted).

    Returns:
        The container as it ended (None when somebody removed it), and the last lines of its log.
    """
    path = context.paths.log(attempt.job_id, attempt.number)
    log = AttemptLog(path, now, lambda: context.shipping.grew(path))
    live_end: float | None = None
    try:
        if stream is not None:
            log.follow_live(stream)
            live_end = now()
            stream.close()
            sample_memory(attempt)
        seen = _look(context, attempt)
        if live_end is not None and seen is not None and not seen.over:
            context.engine.wait(attempt.container, SETTLE)
            seen = _look(context, attempt)
        while seen is not None and not seen.over:
            # Broken off, not begun, or the program closed its output: the engine's own log has it all.
            _from_engine(context, attempt, log, to_the_end=False)
            sample_memory(attempt)
            seen = _look(context, attempt)
            if seen is not None and not seen.over:
                threading.Event().wait(0.2)
        if seen is not None and not (_complete(live_end, seen) and not log.broken):
            _from_engine(context, attempt, log, to_the_end=True)
        seen = _killed_by_whom(context, attempt, seen)
        tail = log.tail()
    finally:
        log.close()
    context.shipping.finish_log(path)
    return seen, tail


def sample_memory(attempt: Attempt, pid_of: Callable[[], int] | None = None) -> None:
    """Note the largest use of memory so far, when the cgroup still tells it.

    Args:
        attempt: whose container runs.
        pid_of: asks the engine for the first process, when the cgroup is not where it was ordered.
    """
    if attempt.peak_file is None:
        attempt.peak_file = peak_file(attempt.container, attempt.cgroup_parent, pid_of() if pid_of else 0)
    if attempt.peak_file is not None:
        attempt.peak_memory = max(attempt.peak_memory, read_peak(attempt.peak_file))


def _look(context: Context, attempt: Attempt) -> Seen | None:
    try:
        return until_it_answers(lambda: context.engine.inspect(attempt.container), f"look at {attempt}")
    except NoSuchContainerError:
        return None


def _from_engine(context: Context, attempt: Attempt, log: AttemptLog, *, to_the_end: bool) -> None:
    def pass_over() -> None:
        log.follow_engine(context.engine.log(attempt.container, follow=not to_the_end))

    try:
        if to_the_end:
            until_it_answers(pass_over, f"read the log of {attempt}")
        else:
            pass_over()
    except NoSuchContainerError:
        return
    except EngineAwayError:
        return  # the caller looks again


def _killed_by_whom(context: Context, attempt: Attempt, seen: Seen | None) -> Seen | None:
    """Look again at a container that was killed, and not by us: its state does not say at once by whom.

    None = somebody removes it: ``docker rm -f`` kills first.
    """
    killed = seen is not None and seen.exit_code == 137 and not seen.oom_killed
    if not killed or attempt.signals_sent().sigkill:
        return seen
    threading.Event().wait(REMOVAL)
    seen = _look(context, attempt)
    if seen is None or seen.oom_killed:
        return seen
    since = seen.started_at or now()

    def asked() -> bool:
        return context.engine.ran_out_of_memory(attempt.container, since, now())

    return replace(seen, oom_killed=until_it_answers(asked, f"ask what killed {attempt}"))


def _complete(live_end: float | None, seen: Seen) -> bool:
    if live_end is None or seen.finished_at is None:
        return False
    return seen.finished_at - EARLY <= live_end <= seen.finished_at + LATE
