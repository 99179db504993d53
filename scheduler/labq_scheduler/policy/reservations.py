"""Nodes that the lab's rules keep for some people for a while. Pure.

Others start nothing there from the window's begin to its end, and before it only what will have ended by then: at its time
limit, or, of a job without one, when its run time as it is safely expected is over. What runs there is not touched.
(The reservation of policy/reserve.py is another thing: it is made by the policy, for one job.)
"""

from __future__ import annotations

from collections.abc import Iterable

from labq.clock import rfc3339
from labq.gpu_request import GpuRequest
from labq.node import Node
from labq_scheduler.policy.fit import constraints_hold
from labq_scheduler.policy.rules import Rules, Window
from labq_scheduler.policy.shape import Shape


class Windows:
    """The windows that are not over, in one pass."""

    def __init__(self, rules: Rules, nodes: Iterable[Node], now: float) -> None:
        """Look which nodes each is about.

        Args:
            rules: the windows.
            nodes: of the lab.
            now: seconds since the epoch.
        """
        self._rules, self._now = rules, now
        self._rows: list[tuple[Window, frozenset[str]]] = []
        left = [window for window in rules.windows if window.until > now]
        if left:
            known = list(nodes)
            self._rows = [(window, _nodes_of(window, known)) for window in left]

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._rows)

    def barred(self, owner: str, end: float) -> frozenset[str]:
        """Return the nodes on which a job may not start now that ends at ``end``, seconds since the epoch, at the latest."""
        found: frozenset[str] = frozenset()
        for window, nodes in self._rows:
            if end > window.begin and not self._rules.has(owner, window.people):
                found |= nodes
        return found

    def said(self, owner: str, end: float) -> str:
        """Return which windows keep a job from its nodes."""
        keeping = [
            window
            for window, _ in self._rows
            if end > window.begin and not self._rules.has(owner, window.people)
        ]
        text = "; ".join(
            f"the lab's rules keep {' '.join(window.nodes) or 'all nodes'} for {', '.join(window.people) or 'nobody'} "
            f"from {_minute(window.begin)} until {_minute(window.until)} ({window.name})"
            for window in keeping
        )
        later = all(window.begin > self._now for window in keeping)
        return f"{text}; a shorter time limit, --time, might let it end before" if later else text


def _nodes_of(window: Window, nodes: Iterable[Node]) -> frozenset[str]:
    shape = Shape(GpuRequest(), nodes=window.nodes)
    return frozenset(node.name for node in nodes if constraints_hold(shape, node))


def _minute(at: float) -> str:
    return rfc3339(at)[:16].replace("T", " ") + " UTC"
