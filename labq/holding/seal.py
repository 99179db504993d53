"""The seal on an owner label: proof that the stamping proxy wrote it, and nobody else.

The proxy (labq_exporter.stamping) seals, the rules of ownership verify. The form is ``v1:<nonce>:<mac>``: 32
hexadecimal digits that are used once, the first 8 of them the second in which it was made, and HMAC-SHA256 of nonce,
newline and owner. A seal can be read (``docker inspect``) and copied onto another container: so it is good only for a
container that was created when it was made, and two containers with one nonce are a dispute.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import stat
from pathlib import Path

from labq.clock import monotonic
from labq.errors import BadInputError, LabqError, NotFoundError, UnavailableError

log = logging.getLogger(__name__)

#: Label with the name of the person; anybody may write it.
OWNER_LABEL = "io.labq.owner"
#: Label with the seal; only the proxy can write a valid one.
STAMP_LABEL = "io.labq.stamp"
#: Not below /var/lib/labq: that is the scheduler's, whose account could then replace the key.
KEY_PATH = Path("/var/lib/labq-stamp/stamp.key")
#: Bytes: as long as the digest, more adds nothing (RFC 2104).
KEY_BYTES = 32

#: Seconds between stamp and creation: the engine creates in milliseconds, on a loaded machine in seconds.
TIMELY = 300.0
#: Seconds after which the key is read again: the proxy may be set up, or its key made anew, while others run.
READ_EVERY = 10.0

_STAMP = re.compile(r"v1:([0-9a-f]{32}):([0-9a-f]{64})", re.ASCII)


def _mac(key: bytes, nonce: str, owner: str) -> str:
    return hmac.new(key, f"{nonce}\n{owner}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def new_nonce(now: float) -> str:
    """Return a nonce that was never used before and says when it was made (``now``, seconds since the epoch)."""
    return f"{int(now):08x}{os.urandom(12).hex()}"


def is_timely(nonce: str, created: float) -> bool:
    """Return whether a container created then (seconds since the epoch) may carry this nonce."""
    return abs(created - int(nonce[:8], 16)) <= TIMELY


def seal(key: bytes, nonce: str, owner: str) -> str:
    """Return the stamp for ``owner``; ``nonce`` is 32 hexadecimal digits that were never used before."""
    return f"v1:{nonce}:{_mac(key, nonce, owner)}"


def verify(key: bytes, stamp: str, owner: str) -> str | None:
    """Return the nonce of a stamp that holds for ``owner``, or None when it does not."""
    found = _STAMP.fullmatch(stamp)
    if found is None or not hmac.compare_digest(found[2], _mac(key, found[1], owner)):
        return None
    return found[1]


def read_key(path: Path = KEY_PATH) -> bytes:
    """Return the key in the file at ``path``.

    Raises:
        NotFoundError: There is no such file: the proxy never ran on this machine.
        UnavailableError: It cannot be read.
        BadInputError: It is not a key, or everybody could read it.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            key = file.read(KEY_BYTES + 1)
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no stamp key {path}", "the stamping proxy makes it when it first starts"
        ) from None
    except OSError as error:
        raise UnavailableError(
            f"the stamp key {path} cannot be read: {error.strerror}", "read it as root"
        ) from None
    if mode & 0o007:
        raise BadInputError(
            f"the stamp key {path} has mode {mode:04o}: others could seal with it",
            f"remove it, restart labq-docker-stamp (which makes a new one with mode 0600): rm {path}",
        )
    if len(key) != KEY_BYTES:
        raise BadInputError(
            f"the stamp key {path} is not {KEY_BYTES} bytes long",
            f"remove it, restart labq-docker-stamp (which makes a new one): rm {path}",
        )
    return key


class SealKey:
    """The key as a look needs it: read again now and then, never a reason to fail. For one thread."""

    def __init__(self, path: Path, *, every: float = READ_EVERY) -> None:
        """Read nothing yet.

        Args:
            path: the proxy's key file.
            every: seconds after which it is read again.
        """
        self._path, self._every = path, every
        self._key: bytes | None = None
        self._read, self._told = float("-inf"), ""

    def __call__(self) -> bytes | None:
        """Return the key; None where no proxy ever ran, or it is not to be trusted (which is logged once)."""
        at = monotonic()
        if at - self._read >= self._every:
            self._read, wrong = at, ""
            try:
                self._key = read_key(self._path)
            except LabqError as error:
                self._key, wrong = None, "" if isinstance(error, NotFoundError) else error.what
            if wrong and wrong != self._told:
                log.warning("seals do not count: %s", wrong)
            self._told = wrong
        return self._key
