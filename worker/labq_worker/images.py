"""Image keys -> images on this node: found, pulled or built; the state of each told to the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from labq.clock import now
from labq.errors import LabqError
from labq.image import ImageOnNode, image_tag
from labq.logfile import STDOUT, LogWriter
from labq.spec import JobSpec
from labq_worker.build_output import BuildOutput, failed_reason, why_pull_failed
from labq_worker.context import Context
from labq_worker.contexts import ContextError, ContextSource
from labq_worker.engine_errors import EngineAwayError, EngineError
from labq_worker.retry import until_it_answers

log = logging.getLogger(__name__)
#: Seconds until a build that the engine broke off begins again: at first, and at most.
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0


class Images:
    """Prepares images, a few at a time, each once."""

    def __init__(self, context: Context, contexts: ContextSource) -> None:
        """Use the parts.

        Args:
            context: the parts.
            contexts: where tars of build contexts come from.
        """
        self._context = context
        self._contexts = contexts
        self._pool = ThreadPoolExecutor(context.config.builds, thread_name_prefix="image")
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def prepare(self, key: str, job_id: str) -> None:
        """Begin to prepare an image, unless that is being done; returns at once."""
        with self._lock:
            if key in self._busy:
                return
            self._busy.add(key)
        self._pool.submit(self._safely, key, job_id)

    def is_written(self, path: Path) -> bool:
        """Return whether this may be the log of a preparation that is being done."""
        with self._lock:
            busy = set(self._busy)
        # All runs of the key: which one it is may not be known yet.
        name, _, _ = path.name.rpartition("-")
        paths, node = self._context.paths, self._context.config.name
        return any(paths.image_log(key, node, 0).name.rpartition("-")[0] == name for key in busy)

    def _safely(self, key: str, job_id: str) -> None:
        try:
            self._prepare(key, job_id)
        except Exception:
            log.exception("image %s: a fault of labq's own", key)
            self._tell(
                key,
                ImageOnNode(
                    "failed",
                    now(),
                    reason=str(failed_reason(key)),
                    error="a fault of labq: see the agent's log",
                ),
            )
        finally:
            with self._lock:
                self._busy.discard(key)

    def _prepare(self, key: str, job_id: str) -> None:
        context = self._context
        before = until_it_answers(lambda: context.store.images.get(key), f"read image {key}")
        said = before.nodes.get(context.config.name)
        run = said.run if said else 0
        here = until_it_answers(lambda: context.engine.image_id(image_tag(key)), f"look for image {key}")
        if here is not None:
            context.image_ids[key] = here
            self._tell(key, ImageOnNode("ready", now(), here, run=run))
            return
        # "preparing" is the number of this very preparation: from the scheduler that ordered it, or from the agent
        # that died during it.
        run += said is None or said.state != "preparing"
        self._tell(key, ImageOnNode("preparing", now(), run=run))
        log.info("image %s: preparing (run %d)", key, run)
        try:
            image_id = self._make(key, job_id, run)
        except Exception as error:
            if isinstance(error, _FailedError):
                log.warning("image %s: %s", key, error)
            else:
                log.exception("image %s: a fault of labq's own", key)
                error = _FailedError("a fault of labq: see the agent's log")
            failed = ImageOnNode("failed", now(), reason=str(failed_reason(key)), error=str(error), run=run)
            self._tell(key, failed)
            return
        context.image_ids[key] = image_id
        self._tell(key, ImageOnNode("ready", now(), image_id, run=run))
        log.info("image %s: ready (%s)", key, image_id[:19])

    def _make(self, key: str, job_id: str, run: int) -> str:
        path = self._context.paths.image_log(key, self._context.config.name, run)
        try:
            writer = LogWriter(path)
        except OSError as error:
            raise _FailedError(f"its log cannot be written on this node: {error.strerror}") from None
        try:
            return self._until_the_engine_stays(key, job_id, writer, path)
        except OSError as error:
            raise _FailedError(f"this node cannot keep its files: {error.strerror}") from None
        finally:
            writer.close()
            self._context.shipping.finish_log(path)

    def _until_the_engine_stays(self, key: str, job_id: str, writer: LogWriter, path: Path) -> str:
        """Pull or build, from the beginning when the engine went away: its restart says nothing about the image."""
        pause, wait = threading.Event(), FIRST_WAIT
        while True:
            try:
                if key.startswith("ref:"):
                    return self._pull(key.removeprefix("ref:"), writer, path)
                return self._build(key, self._spec(key, job_id), writer, path)
            except EngineAwayError as error:
                log.warning("image %s: the engine went away: %s; trying again", key, error.words)
                _line(writer, f"labq: the engine went away ({error.words}); trying again")
                self._context.shipping.grew(path)
            pause.wait(wait)
            wait = min(LONGEST_WAIT, wait * 2)
            until_it_answers(self._context.engine.info, f"prepare image {key}")

    def _pull(self, reference: str, writer: LogWriter, path: Path) -> str:
        said = BuildOutput()
        try:
            self._write(self._context.engine.pull(reference), said, writer, path)
        except EngineAwayError:
            raise
        except EngineError as error:
            said.error = error.words
            _line(writer, error.words)
        if said.error:
            raise _FailedError(why_pull_failed(reference, said.error))
        image_id = self._context.engine.image_id(reference)
        if image_id is None:
            raise _FailedError(f"image {reference} was pulled, but this node does not have it")
        return image_id

    def _spec(self, key: str, job_id: str) -> JobSpec:
        try:
            return until_it_answers(lambda: self._context.store.jobs.get(job_id), f"read job {job_id}").spec
        except LabqError as error:
            raise _FailedError(f"no job says how image {key} is built: {error.what}") from None

    def _build(self, key: str, spec: JobSpec, writer: LogWriter, path: Path) -> str:
        said, tag = BuildOutput(), image_tag(key)
        try:
            with self._contexts.open(spec.context or "") as tar:
                lines = self._context.engine.build(tar, spec.dockerfile, tag, spec.build_args)
                self._write(lines, said, writer, path)
        except ContextError as error:
            _line(writer, str(error))
            raise _FailedError(str(error)) from None
        except EngineAwayError:
            raise
        except EngineError as error:
            said.error = error.words
            _line(writer, error.words)
        if said.error:
            raise _FailedError(said.why_build_failed())
        image_id = self._context.engine.image_id(tag)
        if image_id is None:
            raise _FailedError("the build ended without an image")
        return image_id

    def _write(
        self, messages: Iterable[Mapping[str, Any]], said: BuildOutput, writer: LogWriter, path: Path
    ) -> None:
        for message in messages:
            text = said.text(message)
            if text:
                writer.write(STDOUT, int(now() * 1e9), text.encode())
                self._context.shipping.grew(path)

    def _tell(self, key: str, said: ImageOnNode) -> None:
        name = self._context.config.name
        until_it_answers(lambda: self._context.store.images.set(key, name, said), f"tell of image {key}")

    def verify(self) -> None:
        """Check what the store says of this node's images: forget what is gone, go on with what was begun."""
        context, name = self._context, self._context.config.name
        known = until_it_answers(
            lambda: context.store.images.get_many(context.store.images.all_keys()), "read the images"
        )
        for key, image in known.items():
            said = image.nodes.get(name)
            if said is not None and said.state != "failed":
                self._check(key, said)

    def _check(self, key: str, said: ImageOnNode) -> None:
        here = until_it_answers(
            lambda: self._context.engine.image_id(image_tag(key)), f"look for image {key}"
        )
        if here is not None:
            self._context.image_ids[key] = here
        elif said.state == "ready":
            log.warning("image %s has gone from this node", key)
            self._forget(key)
        if said.state == "preparing":
            self._prepare_again(key)

    def _forget(self, key: str) -> None:
        name = self._context.config.name
        until_it_answers(
            lambda: self._context.store.images.forget(key, name, now=now()), f"forget image {key}"
        )

    def _prepare_again(self, key: str) -> None:
        """Go on with what a dead agent had begun, when some job still wants it."""
        jobs = self._context.store.jobs
        wanted = until_it_answers(lambda: jobs.get_many(jobs.active_ids()), "read the jobs")
        job = next((job for job in wanted if job.image_key == key), None)
        if job is not None:
            self.prepare(key, job.id)
        else:
            self._forget(key)


class _FailedError(Exception):
    """The image cannot be had; carries the sentence for its owner."""


def _line(writer: LogWriter, text: str) -> None:
    writer.write(STDOUT, int(now() * 1e9), text.encode() + b"\n")
