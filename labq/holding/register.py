"""The containers that one engine has, and had until a while ago. No I/O: told by whoever talks to the engine.

A container's labels, mounts and image never change, so it is inspected once. One that is gone is kept for a while: the
driver may list its processes longer, and a copied label is told from the original by who came first.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labq.holding.containers import facts_of_inspected, facts_of_listed, name_of
from labq.holding.facts import ContainerFacts

#: Seconds for which a container that is gone is known.
KEPT = 600.0


@dataclass(slots=True)
class _Entry:
    facts: ContainerFacts
    #: monotonic seconds when the engine last spoke of it
    seen: float
    inspected: bool = False
    #: False = its labels may still be its image's: it is not shown before the inspection
    shown: bool = False
    #: False = it was only created: no process ever ran in it
    ran: bool = False
    #: monotonic seconds when it was found to be gone
    gone: float | None = None


class Register:
    """Containers of one engine. Safe to share between threads; :meth:`known` waits for nobody."""

    def __init__(self, engine_uid: int = 0) -> None:
        """Take who owns the engine's socket."""
        self._engine_uid = engine_uid
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._known: Mapping[str, ContainerFacts] = {}

    def known(self) -> Mapping[str, ContainerFacts]:
        """Return the containers by id; this mapping is never changed afterwards."""
        return self._known

    def listed(self, items: Sequence[Mapping[str, Any]], asked: float, at: float) -> list[str]:
        """Take the answer of ``GET /containers/json?all=1``; return the ids that want an inspection.

        Args:
            items: as the engine wrote them.
            asked: monotonic seconds when the question was put.
            at: monotonic seconds now.
        """
        with self._lock:
            found = set()
            for item in items:
                facts = facts_of_listed(item, engine_uid=self._engine_uid)
                entry = self._entries.setdefault(facts.id, _Entry(facts, at))
                entry.facts = replace(entry.facts, name=facts.name)
                entry.seen, entry.gone = at, None
                entry.ran = entry.ran or item.get("State") != "created"
                found.add(facts.id)
            for key, entry in list(self._entries.items()):
                # What the engine spoke of after the question may be too young for this answer.
                if key not in found and entry.seen < asked:
                    self._leave(key, at)
            self._publish()
            return [key for key in found if not self._entries[key].inspected]

    def inspected(self, answer: Mapping[str, Any], image: Mapping[str, Any] | None, at: float) -> None:
        """Take the answer of ``GET /containers/<id>/json``, and that of its image (None = it is not known)."""
        facts = facts_of_inspected(answer, image, engine_uid=self._engine_uid)
        with self._lock:
            entry = self._entries.setdefault(facts.id, _Entry(facts, at))
            entry.facts, entry.seen, entry.inspected, entry.shown = facts, at, True, True
            entry.ran = entry.ran or (answer.get("State") or {}).get("Status") != "created"
            self._publish()

    def refused(self, key: str) -> None:
        """Note that the engine lists a container but cannot inspect it: what the list says must do."""
        with self._lock:
            if key in self._entries:
                self._entries[key].shown = True
                self._publish()

    def started(self, key: str, at: float) -> bool:
        """Note that a container started; return False when it wants an inspection."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return False
            entry.ran, entry.seen, entry.gone = True, at, None
            return entry.inspected

    def renamed(self, key: str, name: str) -> None:
        """Note a container's new name."""
        with self._lock:
            if key in self._entries:
                self._entries[key].facts = replace(self._entries[key].facts, name=name_of(name))
                self._publish()

    def removed(self, key: str, at: float) -> None:
        """Note that a container is gone."""
        with self._lock:
            self._leave(key, at)
            self._publish()

    def _leave(self, key: str, at: float) -> None:
        entry = self._entries.get(key)
        if entry is None:
            return
        entry.gone = at if entry.gone is None else entry.gone
        # Nobody copied the labels of one that never ran: whoever made it makes it again (a start that failed).
        if not entry.ran or at - entry.gone > KEPT:
            del self._entries[key]

    def _publish(self) -> None:
        self._known = {key: entry.facts for key, entry in self._entries.items() if entry.shown}
