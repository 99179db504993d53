"""Remove: forget a node that does not come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labq.errors import ConflictError
from labq.node import AGENT_PREFIX, Node
from labq.wire import node_view
from labq_scheduler.verbs.lab import Lab


def remove_node(lab: Lab, name: str, *, now: float) -> dict[str, Any]:
    """Forget the node and the tokens of its agent, and return what it was.

    Raises:
        NotFoundError: there is none of that name.
        ConflictError: jobs hold it, or it takes work.
    """
    lab.board.require_loaded()
    node = lab.store.nodes.get(name)
    require_unused(node, sorted(set(lab.store.jobs.leases(name).values())))
    seen = node_view(node, {}, lab.board.holders(name), now)
    # Its tokens before its record: an agent that still beats registers again while its token is good.
    lab.store.people.remove(AGENT_PREFIX + name)
    lab.store.node_users.forget(name)
    lab.store.nodes.remove(name, now=now)
    lab.store.joining.forget(name)
    return seen


def require_unused(node: Node, held: Sequence[str]) -> None:
    """Do nothing when the node may be forgotten.

    Args:
        node: its record.
        held: ids of the jobs that hold it.

    Raises:
        ConflictError: jobs hold it, or it takes work.
    """
    if held:
        names = ", ".join(held[:3]) + (" and more" if len(held) > 3 else "")
        raise ConflictError(
            f"node {node.name} is held by {len(held)} job{'s' if len(held) > 1 else ''} ({names})",
            "wait until they have ended, or cancel them: labq cancel JOB",
        )
    if node.alive and not node.drained:
        raise ConflictError(
            f"node {node.name} takes work",
            f"labq drain {node.name} REASON, stop labq-worker there (one without a token registers again), then remove it",
        )
