"""The parts of the page: what is in memory -> samples. One that fails takes no other with it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Protocol, TypeVar

from labq import __version__
from labq.clock import monotonic
from labq.errors import UnavailableError
from labq.store.events import MISSED
from labq_scheduler.metrics.counts import JobCounts
from labq_scheduler.metrics.passes import Passes
from labq_scheduler.metrics.readings import Reading, Readings
from labq_scheduler.metrics.samples import Sample
from labq_scheduler.metrics.table import PARTS
from labq_scheduler.policy.outside import outside_use
from labq_scheduler.verbs.lab import Lab

log = logging.getLogger(__name__)
T = TypeVar("T")


class Deciding(Protocol):
    """What ``Loop`` says of itself."""

    passes: Passes

    @property
    def last_pass(self) -> float:
        """Return when the last turn ended; 0 = never."""


class Parts:
    """What one server has to say."""

    def __init__(self, lab: Lab, counts: JobCounts, readings: Readings, loop: Deciding | None = None) -> None:
        """Take the sources.

        Args:
            lab: the parts of the server.
            counts: follows the board.
            readings: asks Redis.
            loop: the deciding loop of this process; None = it has none.
        """
        self._lab, self._counts, self._readings, self._loop = lab, counts, readings, loop

    def samples(self, now: float) -> list[Sample]:
        """Return every sample; each part that could not be made says so.

        Args:
            now: seconds since the epoch.
        """
        reading = self._readings.take()
        found: list[Sample] = []
        for part in PARTS:
            try:
                made = list(getattr(self, f"_{part}")(reading, now))
            except UnavailableError as error:
                log.debug("metrics: no %s: %s", part, error.what)
                made, success = [], 0.0
            except Exception:
                log.exception("metrics: part %s failed", part)
                made, success = [], 0.0
            else:
                success = 1.0
            found += [*made, Sample("labq_scrape_part_success", success, (part,))]
        return found

    def _build(self, _reading: Reading, now: float) -> Iterator[Sample]:
        yield Sample("labq_build_info", 1.0, (__version__,))
        yield Sample("labq_server_clock_timestamp_seconds", now)

    def _jobs(self, _reading: Reading, now: float) -> Iterator[Sample]:
        if not self._lab.board.loaded:
            raise UnavailableError("the board holds nothing yet")
        for (state, user), count in self._counts.by_state(monotonic()).items():
            yield Sample("labq_jobs", count, (str(state), user))
        oldest = self._lab.board.oldest_pending()
        yield Sample("labq_jobs_oldest_wait_seconds", 0.0 if oldest is None else max(0.0, now - oldest))
        yield Sample("labq_job_wait_seconds", self._counts.waits)
        yield Sample("labq_jobs_started_total", self._counts.started)
        for key, count in self._counts.ends().items():
            yield Sample("labq_jobs_ended_total", count, key)

    def _scheduler(self, _reading: Reading, _now: float) -> Iterator[Sample]:
        if self._loop is None:
            return
        passes = self._loop.passes
        yield Sample("labq_scheduler_leader", float(passes.leads))
        if self._loop.last_pass:
            yield Sample("labq_scheduler_last_pass_timestamp_seconds", self._loop.last_pass)
        yield Sample("labq_scheduler_decision_seconds", passes.decide, ("decide",))
        yield Sample("labq_scheduler_decision_seconds", passes.apply, ("apply",))
        for outcome, count in passes.outcomes.items():
            yield Sample("labq_scheduler_decisions_total", count, (outcome,))

    def _rules(self, _reading: Reading, _now: float) -> Iterator[Sample]:
        state = self._lab.rules.state()
        yield Sample("labq_rules_file_refused", float(state.problem is not None))
        yield Sample("labq_rules_since_timestamp_seconds", state.since)

    def _nodes(self, reading: Reading, now: float) -> Iterator[Sample]:
        nodes = _there(reading.nodes)
        outside = outside_use(nodes, self._lab.board.get, now)
        for node, _ in nodes:
            where, takes = (node.name,), node.takes_work(now)
            held = {*self._lab.board.holders(node.name), *outside.get(node.name, {})}
            free = sum(takes and not gpu.fault and gpu.uuid not in held for gpu in node.gpus)
            yield Sample("labq_worker_last_heartbeat_timestamp_seconds", node.heartbeat, where)
            yield Sample("labq_node_up", float(takes), where)
            yield Sample("labq_node_drained", float(bool(node.drained)), where)
            yield Sample("labq_gpus", len(node.gpus), where)
            yield Sample("labq_gpus_schedulable", free, where)

    def _leases(self, reading: Reading, _now: float) -> Iterator[Sample]:
        for node, _ in _there(reading.nodes):
            held = self._lab.board.holders(node.name)
            for gpu in node.gpus:
                for job in held.get(gpu.uuid, ()):
                    yield Sample(
                        "labq_gpu_lease", 1.0, (node.name, str(gpu.index), gpu.uuid, job.owner, job.id)
                    )

    def _usage(self, reading: Reading, _now: float) -> Iterator[Sample]:
        charged = _there(reading.charged)
        for user, seconds in charged.items():
            yield Sample("labq_user_usage_charged_gpu_seconds", seconds, (user,))

    def _users(self, reading: Reading, _now: float) -> Iterator[Sample]:
        for person in _there(reading.people):
            if not person.agent:
                yield Sample("labq_user_info", 1.0, (person.name, person.slack_id, person.group))

    def _images(self, _reading: Reading, _now: float) -> Iterator[Sample]:
        if not self._lab.board.loaded:
            raise UnavailableError("the board holds nothing yet")
        images = list(self._lab.board.images.values())
        counted = Counter(said.state for image in images for said in image.nodes.values())
        for state in ("preparing", "ready", "failed", "absent"):
            yield Sample("labq_images", counted[state], (state,))

    def _redis(self, reading: Reading, _now: float) -> Iterator[Sample]:
        yield Sample("labq_redis_up", float(reading.info is not None))
        if reading.info is not None:
            yield Sample("labq_redis_memory_used_bytes", float(reading.info["used_memory"]))
            yield Sample("labq_redis_memory_max_bytes", float(reading.info["maxmemory"]))

    def _board(self, reading: Reading, _now: float) -> Iterator[Sample]:
        yield Sample("labq_board_loaded", float(self._lab.board.loaded))
        if reading.lag is not None:
            yield Sample("labq_board_lag_seconds", reading.lag)

    def _records(self, _reading: Reading, _now: float) -> Iterator[Sample]:
        if self._lab.history.last_write:
            yield Sample("labq_records_last_write_timestamp_seconds", self._lab.history.last_write)

    def _notices(self, reading: Reading, _now: float) -> Iterator[Sample]:
        notices = _there(reading.notices)
        yield Sample("labq_notify_pending", notices.pending)
        yield Sample("labq_notify_dead_letters", notices.dead)
        yield Sample("labq_notify_dead_letters_last_day", notices.dead_last_day)
        yield Sample("labq_notify_up", float(notices.alive))
        for key, count in notices.counts.items():
            yield Sample("labq_notices_total", count, key)
        for reason in MISSED:
            yield Sample("labq_notify_missed_total", notices.missed.get(reason, 0), (reason,))

    def _data(self, _reading: Reading, _now: float) -> Iterator[Sample]:
        size, free = _there(self._readings.disk())
        yield Sample("labq_data_free_bytes", free)
        yield Sample("labq_data_size_bytes", size)


def _there(said: T | None) -> T:
    if said is None:
        raise UnavailableError("Redis, or the records, did not say it")
    return said
