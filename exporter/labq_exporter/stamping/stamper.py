"""Who called, and the key -> the labels of a container."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from urllib.parse import parse_qs

from labq.clock import now
from labq.holding.seal import OWNER_LABEL, STAMP_LABEL, new_nonce, seal
from labq_exporter.stamping.caller import Caller, Names
from labq_exporter.stamping.create_body import relabel
from labq_exporter.stamping.requests import Create

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stamper:
    """Writes the owner onto containers; blocks while an account's name is looked up."""

    key: bytes
    names: Names

    def __repr__(self) -> str:
        """Return no key."""
        return "Stamper()"

    def stamp(self, create: Create, caller: Caller) -> bytes:
        """Return the request to pass on instead of ``create``."""
        owner = self.names.of(caller.person) if caller.person is not None else ""
        labels = {}
        if owner:
            labels = {OWNER_LABEL: owner, STAMP_LABEL: seal(self.key, new_nonce(now()), owner)}
        body = relabel(create.body, labels)
        # !r: what a client chose must not make lines of its own in the log.
        query = create.head.target.partition(b"?")[2].decode("utf-8", "replace")
        name = "".join(parse_qs(query).get("name", [])[:1])[:128]
        if owner and body is not create.body:
            log.info("stamped container %r for %s (uid %d, pid %d)", name, owner, caller.uid, caller.pid)
        elif not owner:
            why = caller.why or "its uid has no account"
            log.info("container %r not stamped (uid %d, pid %d): %s", name, caller.uid, caller.pid, why)
        return create.head.with_length(len(body)) + body
