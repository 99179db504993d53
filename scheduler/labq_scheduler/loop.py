"""The deciding loop: lease, snapshot, decide, apply; and the only wait. One thread.

Each turn:
    1. keep the leader's lease, or wait as a standby
    2. nodes that were silent for too long are lost
    3. owners of jobs that hold GPUs without using them are told, or the jobs ended
    4. snapshot; jobs that wait for outputs of theirs which will not come wait no longer; decide -> apply
    5. wait until the board saw what was applied, then for the next event, the next due time or a second
It may die at any line: what was moved is in Redis, what was not is decided again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from labq.clock import monotonic, now
from labq.errors import UnavailableError
from labq.store import Event, FencedError, LeaderLease, Store
from labq_scheduler.apply import Messages, apply
from labq_scheduler.board import Board
from labq_scheduler.decide import decide
from labq_scheduler.due_outputs import give_up
from labq_scheduler.idle.plan import IdleRules
from labq_scheduler.idle.watch import IdleWatch
from labq_scheduler.metrics.passes import Passes
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.rules import RulesNow
from labq_scheduler.reaper import lose_node, silent_nodes
from labq_scheduler.stuck import StuckWatch

log = logging.getLogger(__name__)

#: Seconds of the longest wait: heartbeats, the lease and not-before times are looked at this often.
TICK = 1.0
#: Seconds of the leader's lease; several ticks, so that one slow turn does not lose it.
LEASE = 6.0
#: Seconds of the longest pause between two turns in a burst of events.
MAX_PAUSE = 0.1
#: Seconds between two turns after which this program, not the nodes, was away (a laptop that slept, a debugger).
STOPPED = 10.0
#: Events of these types can change a decision. ("noted" cannot.)
_WAKING = frozenset({"submitted", "moved", "outputs", "node", "image"})


class Loop:
    """The thread that decides while it leads."""

    def __init__(
        self,
        store: Store,
        board: Board,
        messages: Messages,
        rules: RulesNow,
        node_grace: float = 120.0,
        idle: IdleRules | None = None,
    ) -> None:
        """Prepare the thread.

        Args:
            store: the store.
            board: the live picture; started by the caller.
            messages: how nodes are told.
            rules: gives those in force; asked once for each turn.
            node_grace: seconds of a node's silence that are forgiven.
            idle: what is done about jobs that hold GPUs without using them; None = nothing.
        """
        self._store, self._board, self._messages, self._rules = store, board, messages, rules
        self._node_grace = node_grace
        self._stuck = StuckWatch(store)
        self._idle = IdleWatch(store, messages, idle or IdleRules(None, None))
        self._ground = Ground()
        #: what it did, for the metrics
        self.passes = Passes()
        #: called at each turn, whether it leads or not and whether Redis answers or not
        self.on_turn: Callable[[], None] = lambda: None
        self._lease = LeaderLease(store.connection, LEASE)
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._watching_since = now()
        self._last_pass, self._last_look = 0.0, now()
        self._turn_seconds, self._turn_ended = 0.0, -1e9
        self._thread = threading.Thread(target=self._run, name="loop", daemon=True)
        board.subscribe(self._on_event)

    def start(self) -> None:
        """Begin to decide in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and give the lease back."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=3)

    @property
    def last_pass(self) -> float:
        """Return when the last turn ended (seconds since the epoch), as leader or standby; 0 = never."""
        return self._last_pass

    def _on_event(self, event: Event) -> None:
        if event.type in _WAKING:
            self._wake.set()

    def _run(self) -> None:
        fence: int | None = None
        renewed = -1e9
        while not self._stop.is_set():
            self.on_turn()
            self._wake.clear()
            self._notice_a_stop(now())
            try:
                if fence is None or monotonic() - renewed > TICK:
                    fence = self._lease.acquire()
                    self.passes.leads = fence is not None
                    renewed = monotonic()
                if fence is not None and self._board.loaded:
                    self._turn(fence)
                self._last_pass = now()
            except FencedError:
                log.warning("another scheduler leads now")
                fence, self.passes.leads = None, False
            except UnavailableError as error:
                log.warning("loop: %s", error.what)
                self._watching_since = now()
                fence, self.passes.leads = None, False
                self._stop.wait(0.5)
            except Exception:
                log.exception("loop: this turn failed; the next one starts afresh")
                self._stop.wait(0.5)
            self._wake.wait(TICK)
            # A burst of events costs one turn, not one each: deciding takes a third of a core at most. What comes
            # to an idle lab is decided at once.
            rest = self._turn_ended + min(MAX_PAUSE, 2 * self._turn_seconds) - monotonic()
            if rest > 0:
                self._stop.wait(rest)
        if fence is not None:
            try:
                self._lease.release()
            except UnavailableError:
                log.info("the leader's lease runs out by itself: Redis is away")

    def _notice_a_stop(self, at: float) -> None:
        """Begin to watch the nodes anew when this thread itself stood still: a machine that slept heard nobody."""
        if at - self._last_look > STOPPED:
            self._watching_since = at
        self._last_look = at

    def _turn(self, fence: int) -> None:
        at, began = now(), monotonic()
        nodes = {node.name: node for node, _ in self._board.nodes()}
        holding = {name: self._board.holders(name)[""] for name in nodes}
        for node in silent_nodes(
            nodes.values(),
            now=at,
            grace=self._node_grace,
            watching_since=self._watching_since,
            holding={name for name, jobs in holding.items() if jobs},
        ):
            jobs = holding[node.name]
            self._board.wait_for(lose_node(node, jobs, self._store, now=at, fence=fence))
        self._idle.look(self._board.nodes(), self._board.holders, now=at, elapsed=began, fence=fence)
        snapshot = self._board.snapshot(at)
        if outputs := give_up(snapshot.held, nodes, self._store, now=at, watching_since=self._watching_since):
            self._board.wait_for(outputs)  # it is decided about them in the next turn
        self._stuck.look(snapshot, watching_since=self._watching_since, elapsed=began)
        decisions = decide(snapshot, self._rules(), self._ground)
        decided = monotonic()
        self.passes.decide.observe(decided - began)
        done = apply(decisions, self._store, self._messages, nodes, now=at, fence=fence)
        self.passes.apply.observe(monotonic() - decided)
        self.passes.applied(done)
        if done.last_event:
            # The next turn must see what this one did, or it would decide it again (harmless, but in vain).
            self._board.wait_for(done.last_event, timeout=1.0)
        self._turn_ended = monotonic()
        self._turn_seconds = self._turn_ended - began
