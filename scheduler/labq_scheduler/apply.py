"""Decisions -> store moves and messages. A stale decision changes nothing and is counted."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from typing import Protocol

from labq import moves
from labq.ending import EndReason, Judgement, StopRequest
from labq.errors import LabqError, UnavailableError
from labq.image import ImageOnNode
from labq.moves import Claim
from labq.node import Node
from labq.store import BusyError, FencedError, StaleError, Store
from labq_scheduler.decisions import Decisions, Preempt, Prepare, Refuse, Start

log = logging.getLogger(__name__)

#: Who preempts, for the verdict.
BY = "labq"


class Messages(Protocol):
    """What ``Dispatcher`` does."""

    def start(self, node: str, job_id: str, attempt: int, lease: str) -> None:
        """Tell a node to start an attempt."""

    def stop(self, node: str, job_id: str, attempt: int, lease: str) -> None:
        """Tell a node to stop an attempt."""

    def prepare(self, node: str, image_key: str, job_id: str) -> None:
        """Tell a node to prepare an image."""


@dataclass(slots=True)
class Applied:
    """What came of one pass."""

    #: id of the last event written; "" = none
    last_event: str = ""
    started: int = 0
    prepared: int = 0
    refused: int = 0
    preempted: int = 0
    stale: int = 0
    #: decisions that could not be carried out and were skipped
    failed: int = 0


def apply(
    decisions: Decisions, store: Store, messages: Messages, nodes: dict[str, Node], *, now: float, fence: int
) -> Applied:
    """Carry out the decisions in their order.

    Raises:
        FencedError: another leader has taken over: nothing more of this pass is applied.
        UnavailableError: Redis went away: what was moved stays moved, the agents find it by themselves.
    """
    done = Applied()
    for refusal in decisions.refusals:
        _counted(done, _refuse, refusal, store, now, fence)
    for prepare in decisions.prepares:
        _counted(done, _prepare, prepare, store, messages, now)
    for start in decisions.starts:
        if start.node in nodes:
            _counted(done, _start, start, store, messages, nodes[start.node], now, fence)
    for preempt in decisions.preempts:
        _counted(done, _preempt, preempt, store, messages, now, fence)
    return done


def _counted(done: Applied, step: object, *args: object) -> None:
    try:
        done.last_event = step(*args)  # type: ignore[operator]
        done.started += step is _start
        done.prepared += step is _prepare
        done.refused += step is _refuse
        done.preempted += step is _preempt
    except (StaleError, BusyError) as error:
        done.stale += 1
        log.info("not applied: %s", error.what)
    except (FencedError, UnavailableError):
        raise
    except LabqError as error:
        # One job that cannot be moved (its record is gone, or broken) must not stop the others.
        done.failed += 1
        log.warning("skipped: %s", error.what)


def _start(start: Start, store: Store, messages: Messages, node: Node, now: float, fence: int) -> str:
    claim = Claim(
        secrets.token_hex(8), node, start.fit.gpus, start.fit.cpus, start.fit.memory, start.fit.disk
    )
    new = moves.starting(start.job, claim)
    event = store.jobs.move(start.job, new, now=now, by="scheduler", claim=claim, fence=fence)
    messages.start(node.name, new.id, new.attempt, claim.token)
    log.info("job %s attempt %d -> %s (%s)", new.id, new.attempt, node.name, start.why)
    return event


def _preempt(preempt: Preempt, store: Store, messages: Messages, now: float, fence: int) -> str:
    job = preempt.job
    new = moves.stopping(job, StopRequest(EndReason.PREEMPTED, BY, now, for_job=preempt.for_job.id))
    event = store.jobs.move(job, new, now=now, by="scheduler", fence=fence)
    messages.stop(job.node or "", job.id, job.attempt, job.lease or "")
    log.info("job %s is stopped for job %s (%s)", job.id, preempt.for_job.id, preempt.why)
    return event


def _refuse(refusal: Refuse, store: Store, now: float, fence: int) -> str:
    new = moves.ended(refusal.job, Judgement(refusal.reason, refusal.why), None, now)
    log.info("job %s refused: %s", refusal.job.id, refusal.why)
    return store.jobs.move(refusal.job, new, now=now, by="scheduler", fence=fence)


def _prepare(prepare: Prepare, store: Store, messages: Messages, now: float) -> str:
    before = store.images.get(prepare.key).nodes.get(prepare.node)
    again = before is not None and before.state == "preparing"  # the same run: its log goes on
    run = (before.run if before else 0) + (not again)
    # Written before the message: the next pass must not ask again. The agent re-prepares what a dead one left.
    event = store.images.set(prepare.key, prepare.node, ImageOnNode("preparing", now, run=run))
    messages.prepare(prepare.node, prepare.key, prepare.job)
    log.info("image %s is prepared on %s (%s)", prepare.key, prepare.node, prepare.why)
    return event
