r"""The stamp of labq's docker.sock proxy on a container: who called, and a seal that only the proxy can make. Pure.

``io.labq.stamp`` = ``v1:<nonce>:<hex hmac-sha256(key, nonce + "\n" + owner)>``. Labels can be read and copied by all who
may talk to the engine, so a seal is good for one container: the earliest that carries its nonce, and, when the nonce
says when it was made (``t<seconds since the epoch>-…``), only one that was created then.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable

from labq.holding.facts import ContainerFacts

#: Says who the container is for; everybody may write it.
OWNER_LABEL = "io.labq.owner"
#: Proves that the proxy wrote it.
STAMP_LABEL = "io.labq.stamp"
#: Seconds between stamp and creation: the engine creates in milliseconds, on a loaded machine in seconds.
FRESH = 300.0
_STAMP = re.compile(r"v1:(?P<nonce>[A-Za-z0-9._-]{8,128}):(?P<seal>[0-9a-f]{64})")
_TIMED = re.compile(r"t(\d{1,12})-.+")


def make_stamp(key: bytes, nonce: str, owner: str) -> str:
    """Return the value of ``STAMP_LABEL`` for an owner; each container needs a nonce of its own."""
    return f"v1:{nonce}:{_seal(key, nonce, owner)}"


def timed_nonce(now: float, random: str) -> str:
    """Return a nonce that tells when it was made, so that its stamp is worth nothing later.

    Args:
        now: seconds since the epoch.
        random: at least 8 of the letters, digits, ``.``, ``_`` and ``-``, never used twice.
    """
    return f"t{int(now)}-{random}"


def seal_holds(key: bytes, container: ContainerFacts, known: Iterable[ContainerFacts]) -> bool:
    """Return whether the proxy wrote this container's owner label, for this container.

    Args:
        key: the proxy's.
        container: the one that is asked about.
        known: all containers of this machine, also those that ended not long ago.
    """
    stamp = _STAMP.fullmatch(container.labels.get(STAMP_LABEL, ""))
    if stamp is None:
        return False
    nonce = stamp["nonce"]
    if not hmac.compare_digest(stamp["seal"], _seal(key, nonce, container.labels.get(OWNER_LABEL, ""))):
        return False
    timed = _TIMED.fullmatch(nonce)
    if timed and abs(container.created - int(timed[1])) > FRESH:
        return False
    return not any(_nonce(other) == nonce and is_earlier(other, container) for other in known)


def is_earlier(one: ContainerFacts, other: ContainerFacts) -> bool:
    """Return whether a container was created before another one."""
    return one.id != other.id and (one.created, one.id) < (other.created, other.id)


def _nonce(container: ContainerFacts) -> str | None:
    stamp = _STAMP.fullmatch(container.labels.get(STAMP_LABEL, ""))
    return stamp["nonce"] if stamp else None


def _seal(key: bytes, nonce: str, owner: str) -> str:
    return hmac.new(key, f"{nonce}\n{owner}".encode(), hashlib.sha256).hexdigest()
