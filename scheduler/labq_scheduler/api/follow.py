"""Live logs and states of one job, as a stream of server-sent events that ends when all is told.

The order of one turn keeps the promise that nothing is lost: take the record first, then read the log. The log
of an attempt is complete before its end is written (docs/architecture.md), so an empty read after a final
record is the end.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from labq.clock import monotonic, now
from labq.ending import EndReason
from labq.errors import BadInputError
from labq.job import Job
from labq.logfile import read_frames
from labq.states import FINAL, HOLDING, JobState
from labq.store import Event, Person
from labq_scheduler.api import sse
from labq_scheduler.api.exchange import in_thread
from labq_scheduler.api.hub import Hub, Watch
from labq_scheduler.api.news import StateNews
from labq_scheduler.files.logs import Selection, first_position
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.show import find, view

#: Seconds between two looks at a file that may grow, and at a job that waits.
POLL, POLL_WAITING = 0.03, 0.1
#: Seconds after which the record is told when no event came for it.
PATIENCE = 0.5
KEEP_ALIVE = 15.0
#: Bytes of payload in one turn.
_BATCH = 2**18
_PLACE = re.compile(
    r"^(?:(?P<attempt>\d{1,6})|build:(?P<node>[^:\s]{1,255}):(?P<run>\d{1,9})):(?P<offset>\d{1,18})\Z",
    re.ASCII,
)
_IMAGE_FAILED = frozenset({EndReason.IMAGE_BUILD_FAILED, EndReason.IMAGE_NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a follower is in a log."""

    #: number of the attempt; 0 = in the log of a build
    attempt: int
    offset: int
    #: node and run of the build, as in its log's name
    build: tuple[str, int] | None = None
    #: bytes of the next payload to leave out
    skip: int = 0

    def __str__(self) -> str:
        """Return the id of the event that ends here."""
        if self.build is None:
            return f"{self.attempt}:{self.offset}"
        return f"build:{self.build[0]}:{self.build[1]}:{self.offset}"


def parse_place(text: str) -> Place | None:
    """Return the place that ``Last-Event-ID`` names; None when it is empty.

    Raises:
        BadInputError: it is no id that this server gave.
    """
    if not text:
        return None
    match = _PLACE.match(text)
    if match is None:
        raise BadInputError(f"Last-Event-ID {text[:100]!r} is not legal", "leave it out to begin anew")
    if match["node"]:
        return Place(0, int(match["offset"]), (match["node"], int(match["run"])))
    return Place(int(match["attempt"]), int(match["offset"]))


async def states(lab: Lab, hub: Hub, job_id: str) -> AsyncIterator[bytes]:
    """Yield the job's states now and at each change, until it is final."""
    with hub.watch(job_id) as watch:
        news = await _begin(lab, job_id)
        ticker = _Ticker(news, watch)
        while not hub.closing:
            for body in await ticker.turn():
                yield sse.message("state", body)
            if news.told_final:
                return
            if ticker.silent_for(KEEP_ALIVE):
                yield sse.KEEP_ALIVE
            await watch.wait(PATIENCE)


async def follow(
    lab: Lab, hub: Hub, person: Person, job_id: str, place: Place | None, selection: Selection
) -> AsyncIterator[bytes]:
    """Yield the job's log from ``place`` on (None = as the selection says), its states, and its end."""
    with hub.watch(job_id) as watch:
        news = await _begin(lab, job_id)
        ticker = _Ticker(news, watch)
        reader = _Reader(lab, selection)
        if place is None:
            attempt = max(1, news.job.attempt)
            offset, skip = await in_thread(first_position, lab.files.log(job_id, attempt), selection)
            place = Place(attempt, offset, skip=skip)
        elif place.build is not None:
            reader.build_place, place = place, Place(max(1, news.job.attempt), 0)
        while not hub.closing:
            for body in await ticker.turn():
                yield sse.message("state", body)
            job = news.job  # before the log is read: see above
            before = (place, reader.build_place)
            data = await reader.build(job)
            if reader.build_place == before[1]:
                data, place = await reader.log(job, place)
            if (place, reader.build_place) != before:
                if data:
                    ticker.sent()
                    yield data
                continue
            if place.attempt < job.attempt:
                place = Place(place.attempt + 1, 0)
                continue
            if job.state in FINAL and news.told_final:
                yield sse.message(
                    "end", await in_thread(view, lab, await in_thread(find, lab, job_id), person)
                )
                return
            if ticker.silent_for(KEEP_ALIVE):
                yield sse.KEEP_ALIVE
            growing = job.state in HOLDING or reader.building or job.state in FINAL
            await watch.wait(POLL if growing else POLL_WAITING)


async def _begin(lab: Lab, job_id: str) -> StateNews:
    await in_thread(lab.board.wait_caught_up)
    return StateNews(lab, await in_thread(find, lab, job_id))


class _Ticker:
    """Tells states: from events when there are some, from the record when none came for a while."""

    def __init__(self, news: StateNews, watch: Watch) -> None:
        self._news, self._watch = news, watch
        self._quiet_since = -1e9
        self._sent = monotonic()

    async def turn(self) -> list[dict[str, object]]:
        """Return what is new."""
        self._news.refresh()
        events, at = self._watch.take(), monotonic()
        if not events and at - self._quiet_since < PATIENCE:
            return []
        # Why a job waits may be known to Redis only: not a question for the event loop's thread.
        return await in_thread(self._news_at, events, at)

    def _news_at(self, events: list[Event], at: float) -> list[dict[str, object]]:
        found = list(self._news.from_events(events))
        if not found and at - self._quiet_since >= PATIENCE:
            record = self._news.from_record(now())
            found = [record] if record else []
            self._quiet_since = at
        if found:
            self._quiet_since = at
            self.sent()
        return found

    def sent(self) -> None:
        """Note that the client heard something."""
        self._sent = monotonic()

    def silent_for(self, seconds: float) -> bool:
        """Return whether it is time for a sign of life, and begin to count again."""
        if monotonic() - self._sent < seconds:
            return False
        self._sent = monotonic()
        return True


class _Reader:
    """Reads what came since, a bounded piece at a time."""

    def __init__(self, lab: Lab, selection: Selection) -> None:
        self._lab = lab
        self._selection = selection
        #: where the follower is in the log of a build, when it ever was in one
        self.build_place: Place | None = None
        self.building = False

    async def log(self, job: Job, place: Place) -> tuple[bytes, Place]:
        """Return events from the log of the attempt that ``place`` names, and the new place."""
        return await self._read("log", self._lab.files.log(job.id, place.attempt), place)

    async def build(self, job: Job) -> bytes:
        """Return events from the log of the job's image while it is prepared, or was in vain."""
        self.building = False
        source = self._build_of(job)
        if source is None:
            return b""
        place = self.build_place
        if place is None or place.build != source:
            place = Place(0, 0, source)
        path = self._lab.files.build_log(job.image_key, *source)
        data, self.build_place = await self._read("build", path, place)
        return data

    def _build_of(self, job: Job) -> tuple[str, int] | None:
        image = self._lab.board.images.get(job.image_key)
        waits = job.state is JobState.QUEUED or job.end_reason in _IMAGE_FAILED
        if image is not None and waits:
            found = [
                (said.state == "preparing", said.at, node, said.run)
                for node, said in image.nodes.items()
                if said.state in {"preparing", "failed"}
            ]
            if found:
                preparing, _, node, run = max(found)
                self.building = preparing
                if preparing or job.state in FINAL:
                    return node, run
        # What a follower has begun to read, it reads to the end.
        return None if self.build_place is None else self.build_place.build

    async def _read(self, kind: str, path: Path, place: Place) -> tuple[bytes, Place]:
        try:
            size = os.stat(path).st_size
        except FileNotFoundError:
            return b"", place
        if size <= place.offset:
            return b"", place
        return await in_thread(self._batch, kind, path, place)

    def _batch(self, kind: str, path: Path, place: Place) -> tuple[bytes, Place]:
        out, size = bytearray(), 0
        for frame in read_frames(path, place.offset):
            payload = frame.payload[place.skip :]
            place = replace(place, offset=frame.next_offset, skip=0)
            if payload and (kind == "build" or self._selection.wants(frame)):
                out += sse.frame_message(kind, frame, payload, str(place))
            size += len(frame.payload)
            if size >= _BATCH:
                break
        return bytes(out), place
