"""The life of one attempt, in a thread of its own: create, start, follow, finish.

Before the start only what the start needs is done, since a person waits for it. Nothing here is the truth:
after a ``kill -9`` at any line the next agent finds the container or the lease and goes on (adopt.py).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from labq import moves
from labq.clock import now
from labq.errors import LabqError, NotFoundError, UnavailableError
from labq.holding.facts import LeaseFacts
from labq.job import Job
from labq.states import HOLDING, JobState
from labq.store import StaleError
from labq_worker import end_facts
from labq_worker.attempts import Attempt
from labq_worker.carrying import CarryError, UnwantedError
from labq_worker.container_args import cgroup_parent, container_request
from labq_worker.containers import Seen, Stream
from labq_worker.context import Context
from labq_worker.end_facts import SeenEnd
from labq_worker.engine_errors import EngineAwayError, EngineError, NameTakenError, NoSuchImageError
from labq_worker.finish import tell_end
from labq_worker.follow import follow
from labq_worker.places import PlaceError
from labq_worker.retry import until_it_answers
from labq_worker.stopper import Stopper

log = logging.getLogger(__name__)


class Runner:
    """Starts, adopts and finishes attempts."""

    def __init__(self, context: Context) -> None:
        """Use the parts."""
        self._context = context
        self._starts = threading.BoundedSemaphore(context.config.starts)
        self.stopper = Stopper(context)

    def start(self, job_id: str, number: int, lease: str) -> None:
        """Begin to work on a lease, unless somebody does; returns at once."""
        self._work(self._begin, job_id, number, lease)

    def adopt(self, job_id: str, number: int, lease: str, container: str) -> None:
        """Go on with a container that another agent process has started; returns at once."""
        self._work(lambda attempt: self._take_over(attempt, container), job_id, number, lease)

    def _work(self, do: Callable[[Attempt], None], job_id: str, number: int, lease: str) -> None:
        attempt = self._context.attempts.take(job_id, number, lease)
        if attempt is not None:
            threading.Thread(
                target=self._safely, args=(do, attempt), name=f"job-{job_id}", daemon=True
            ).start()

    def _safely(self, do: Callable[[Attempt], None], attempt: Attempt) -> None:
        try:
            do(attempt)
        except Exception:
            # Reconcile finds what is left in a few seconds and goes on with it.
            log.exception("%s: a fault of labq's own", attempt)
        finally:
            attempt.note_end()
            self._context.attempts.drop(attempt)

    def _read(self, attempt: Attempt) -> Job | None:
        """Return the job when this attempt still holds it."""
        try:
            job = until_it_answers(lambda: self._context.store.jobs.get(attempt.job_id), f"read {attempt}")
        except NotFoundError:
            return None
        ours = job.lease == attempt.lease and job.node == self._context.config.name and job.state in HOLDING
        if ours:
            attempt.number = job.attempt
            attempt.disk = job.disk or 0
            attempt.image_id = attempt.image_id or self._context.image_ids.get(job.image_key, "")
            if attempt.facts is None:
                attempt.uid, attempt.facts = job.uid, _facts(attempt, job)
                # Before there is a container: one with our labels and without a lease looks forged.
                self._context.notes.write()
        return job if ours else None

    def _begin(self, attempt: Attempt) -> None:
        # Outside the few that start at the same time: it may take minutes.
        then = self._bring_outputs(attempt)
        if then is None:
            with self._starts:
                then = self._start(attempt)
        if then is not None:
            then()

    def _bring_outputs(self, attempt: Attempt) -> Callable[[], None] | None:
        """Let ``/outputs`` begin as the attempt before left it; return what is to be done when that cannot be."""
        job = None if attempt.number == 1 else self._read(attempt)
        if job is None or job.state is not JobState.STARTING:
            return None
        try:
            # One that was fenced may still be writing there.
            while any(o.job_id == job.id and o is not attempt for o in self._context.attempts.all()):
                self._require_starting(attempt)
                threading.Event().wait(0.1)
            self._context.carrier.fill(job, lambda: self._require_starting(attempt))
        except UnwantedError:
            log.info("%s is not to start any more", attempt)
        except CarryError as error:
            why = f"what it had left in /outputs cannot be brought there: {error}"
            return lambda: self._never_ran(attempt, job, why, rejected=True)
        return None

    def _require_starting(self, attempt: Attempt) -> None:
        """Do nothing while the job is to start.

        Raises:
            UnwantedError: it was cancelled, or given to another.
        """
        try:
            job = self._context.store.jobs.get(attempt.job_id)
        except UnavailableError:
            return
        except NotFoundError:
            raise UnwantedError from None
        if job.lease != attempt.lease or job.state is not JobState.STARTING:
            raise UnwantedError

    def _start(self, attempt: Attempt) -> Callable[[], None] | None:
        """Start the container; return what is to be done next, outside the few that start at the same time."""
        job = self._read(attempt)
        if job is None:
            log.info("%s is not ours any more; nothing started", attempt)
            return None
        if job.state is not JobState.STARTING:
            return lambda: self._without_container(attempt, job)
        try:
            stream = self._launch(attempt, job)
        except EngineAwayError as error:
            log.warning("%s: the engine went away during the start: %s", attempt, error)
            return lambda: self._launch_again(attempt)
        except (PlaceError, EngineError, LabqError) as error:
            words = error.words if isinstance(error, EngineError) else str(error)
            gone = isinstance(error, NoSuchImageError)
            return lambda: self._never_ran(attempt, job, words, image_gone=gone)
        started_at = now()
        attempt.started = True
        self.note_running(attempt, job, started_at)
        self.limit_time(attempt, job, started_at)
        return lambda: self._see_through(attempt, stream, started_at)

    def _launch(self, attempt: Attempt, job: Job) -> Stream:
        context = self._context
        secrets = context.store.jobs.secrets(job.id) if job.spec.secrets else {}
        request = container_request(job, context.host, context.places.make(job, secrets))
        attempt.cgroup_parent = request.cgroup_parent
        try:
            attempt.container = context.engine.create(request, request.name)
        except NameTakenError:
            # Another lab on this engine has a job of the same number.
            attempt.container = context.engine.create(request, f"{request.name}-{attempt.lease[:8]}")
        stream = context.engine.attach(attempt.container)
        try:
            context.engine.start(attempt.container)
        except EngineError:
            stream.close()
            raise
        return stream

    def _launch_again(self, attempt: Attempt) -> None:
        """Find out what the engine had done before it went away, and go on from there."""
        find = self._context.engine.find
        left = until_it_answers(lambda: find({"labq.lease": attempt.lease}), f"start {attempt}")
        ran = [seen for seen in left if seen.status != "created"]
        for seen in left:
            if seen not in ran[:1]:
                self._context.engine.remove(seen.id)
        if ran:
            self._take_over(attempt, ran[0].id)
        else:
            # Reconcile sees a lease without a container and starts it afresh.
            log.info("%s: its start is tried again", attempt)

    def _never_ran(
        self, attempt: Attempt, job: Job, words: str, *, rejected: bool = False, image_gone: bool = False
    ) -> None:
        log.warning("%s could not be started: %s", attempt, words)
        attempt.closing = True
        if image_gone:
            until_it_answers(
                lambda: self._context.store.images.forget(
                    job.image_key, self._context.config.name, now=now()
                ),
                "tell that an image has gone",
            )
        tell_end(
            self._context,
            attempt,
            lambda latest: end_facts.not_started(latest, words, rejected=rejected),
        )
        self._context.carrier.drop(attempt.job_id, attempt.number)
        self._clean_up(attempt)

    def _without_container(self, attempt: Attempt, job: Job) -> None:
        """End an attempt that has a lease and no container: cancelled before the start, or removed by someone."""
        left = until_it_answers(lambda: self._context.engine.find({"labq.lease": attempt.lease}), "look")
        if left:
            self._take_over(attempt, left[0].id)
            return
        attempt.closing = True
        if job.started_at is None:
            tell_end(
                self._context, attempt, lambda latest: end_facts.not_started(latest, "it was never started")
            )
        else:
            gone = SeenEnd(None, started_at=job.started_at, finished_at=now())
            tell_end(
                self._context,
                attempt,
                lambda latest: end_facts.ended(latest, gone, attempt.signals_sent(), (), 0),
            )
        self._clean_up(attempt)

    def _take_over(self, attempt: Attempt, container: str) -> None:
        job = self._read(attempt)
        if job is None:
            return  # fenced meanwhile: reconcile discards it
        attempt.container = container
        attempt.cgroup_parent = cgroup_parent(job.owner, self._context.host.cgroup_driver)
        seen = until_it_answers(lambda: self._context.engine.inspect(container), f"adopt {attempt}")
        if seen.status == "created":
            self._context.engine.remove(container)
            self._begin(attempt)
            return
        log.info("%s: adopted container %s (%s)", attempt, container[:12], seen.status)
        attempt.started = True
        attempt.signals = replace(attempt.signals, unknown=True)
        started_at = job.started_at or seen.started_at or now()
        if job.state is JobState.STARTING:
            self.note_running(attempt, job, started_at)
        if job.state is JobState.STOPPING and job.stop is not None and not seen.over:
            self.stopper.begin(attempt, job.grace, job.stop.at)
        elif not seen.over:
            self.limit_time(attempt, job, started_at)
        self._see_through(attempt, None, started_at)

    def note_running(self, attempt: Attempt, job: Job, started_at: float) -> None:
        """Tell the store that the container runs; when Redis is away, tell it later: the log must flow."""
        running = moves.running(job, started_at, attempt.image_id)
        try:
            self._context.store.jobs.move(job, running, now=now(), by=self._context.by)
        except UnavailableError:
            attempt.keep(self._context.timers.after(1.0, lambda: self._note_later(attempt, started_at)))
        except (StaleError, NotFoundError):
            self._moved_meanwhile(attempt)

    def _note_later(self, attempt: Attempt, started_at: float) -> None:
        try:
            job = self._context.store.jobs.get(attempt.job_id)
        except LabqError:
            attempt.keep(self._context.timers.after(1.0, lambda: self._note_later(attempt, started_at)))
            return
        if job.lease == attempt.lease and job.state is JobState.STARTING:
            self.note_running(attempt, job, started_at)
        else:
            self._moved_meanwhile(attempt)

    def _moved_meanwhile(self, attempt: Attempt) -> None:
        """Kill a container whose job was cancelled, or given to another, while it was being made."""
        job = self._read(attempt)
        if job is None:
            attempt.fenced = True
        elif job.state is JobState.STOPPING:
            attempt.cancelled_at_start = True
        else:
            return
        self.stopper.kill(attempt)

    def limit_time(self, attempt: Attempt, job: Job, started_at: float) -> None:
        """Stop the container when its time is over."""
        if job.spec.time is not None:
            self.stopper.at_time_limit(attempt, started_at + job.spec.time - now())

    def _see_through(self, attempt: Attempt, stream: Stream | None, started_at: float) -> None:
        """Follow the container to its end and tell it."""
        context = self._context
        seen, tail = follow(context, attempt, stream)
        attempt.note_end()
        attempt.closing = True
        if seen is not None:
            attempt.image_id = seen.image_id or attempt.image_id
        if not attempt.fenced:
            end = _seen_end(seen, started_at)
            tell_end(
                context,
                attempt,
                lambda job: (
                    end_facts.not_started(job, "cancelled")
                    if attempt.cancelled_at_start
                    else end_facts.ended(job, end, attempt.signals_sent(), tail, attempt.peak_memory)
                ),
                started_at=started_at,
            )
        context.shipping.outputs(attempt.job_id, attempt.number)
        self._clean_up(attempt)

    def _clean_up(self, attempt: Attempt) -> None:
        if attempt.container:
            try:
                until_it_answers(lambda: self._context.engine.remove(attempt.container), f"remove {attempt}")
            except EngineError as error:
                log.warning("%s: its container cannot be removed yet: %s", attempt, error)
        self._context.places.remove_scratch(attempt.job_id, attempt.number)


def _facts(attempt: Attempt, job: Job) -> LeaseFacts:
    gpus = {hold.uuid: hold.memory for hold in job.gpus}
    return LeaseFacts(attempt.lease, job.id, job.attempt, job.owner, gpus, job.started_at or now())


def _seen_end(seen: Seen | None, started_at: float) -> SeenEnd:
    if seen is None:
        return SeenEnd(None, started_at=started_at, finished_at=now())
    return SeenEnd(seen.exit_code, seen.oom_killed, seen.started_at or started_at, seen.finished_at)
