"""What plays ask of nodes, on the control machine: one command, one JSON line, the same answer however often.

They speak to Redis, not to the API: who can read ``LABQ_REDIS_URL`` there can do anything anyway, and a play needs no
token. A node that nobody knows takes no jobs: draining it changes nothing, and is no error.
"""

from __future__ import annotations

from typing import Any

from labq.errors import BadInputError, NotFoundError
from labq.job import Job
from labq.node import AGENT_PREFIX, STALE_AFTER, Node, check_node_name
from labq.store import Store
from labq_scheduler.verbs.remove import require_unused

Answer = dict[str, Any]


def drain(store: Store, name: str, reason: str, *, now: float) -> Answer:
    """Place no more jobs on the node. A drain of somebody else stays as it is, with their reason.

    Raises:
        BadInputError: the name or the reason is not legal.
    """
    check_node_name(name)
    if not reason.strip() or len(reason) > 500:
        raise BadInputError(
            f"reason {reason[:100]!r} is empty, or longer than 500 characters", "say why: --reason TEXT"
        )
    changed = store.nodes.change_drain(name, was="", becomes=reason, now=now)
    return _answer(store, name, changed, now)


def resume(store: Store, name: str, if_reason: str | None, *, now: float) -> Answer:
    """Place jobs on the node again.

    Args:
        store: the lab's store.
        name: of the node.
        if_reason: only when it is drained with this reason; None = whatever the reason is.
        now: seconds since the epoch.
    """
    node = _node(store, name)
    was = node.drained if node is not None else ""
    changed = False
    if was and if_reason in {None, was}:
        changed = store.nodes.change_drain(name, was=was, becomes="", now=now)
    return _answer(store, name, changed, now)


def status(store: Store, name: str, *, now: float) -> Answer:
    """Say what is known of the node and which jobs hold it."""
    return _answer(store, name, False, now)


def forget(store: Store, name: str, *, now: float) -> Answer:
    """Forget the node, its agent's tokens and a one-time token that was not used.

    Raises:
        ConflictError: jobs hold it, or it takes work.
    """
    node = _node(store, name)
    if node is not None:
        require_unused(node, held_by(store, name))
    # Before its record: an agent that still beats registers again while its token is good.
    revoked = store.people.remove(AGENT_PREFIX + name)
    revoked = store.node_users.forget(name) or revoked
    if node is not None:
        store.nodes.remove(name, now=now)
    unused = store.joining.forget(name)
    return _answer(store, name, node is not None or revoked or unused, now)


def held_by(store: Store, name: str) -> list[str]:
    """Return the ids of the jobs that hold the node, sorted."""
    return sorted(set(store.jobs.leases(name).values()))


def _node(store: Store, name: str) -> Node | None:
    try:
        return store.nodes.get(check_node_name(name))
    except NotFoundError:
        return None


def _answer(store: Store, name: str, changed: bool, now: float) -> Answer:
    """Return the one form of all answers; a play looks at ``changed``, ``known``, ``alive``, ``drained``, ``jobs``."""
    node = _node(store, name)
    held = held_by(store, name)
    records = {job.id: job for job in store.jobs.get_many(held)}
    age = None if node is None else round(max(0.0, now - node.heartbeat), 1)
    return {
        "changed": changed,
        "name": name,
        "known": node is not None,
        "alive": node is not None and node.alive and now - node.heartbeat < STALE_AFTER,
        "drained": "" if node is None else node.drained,
        "heard": age,
        "version": "" if node is None else node.version,
        "labels": {} if node is None else dict(node.labels),
        "gpus": 0 if node is None else len(node.gpus),
        "joined": store.people.get(AGENT_PREFIX + name) is not None,
        "jobs": [_job(job_id, records.get(job_id)) for job_id in held],
    }


def _job(job_id: str, job: Job | None) -> Answer:
    # A lease whose job's record is gone holds the node all the same.
    if job is None:
        return {"id": job_id, "owner": "", "name": "", "state": ""}
    return {"id": job.id, "owner": job.owner, "name": job.spec.name, "state": str(job.state)}
