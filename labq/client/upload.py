"""Sending a build context: once, from where an earlier try stopped, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import sleep

from labq.client.session import BACKOFF, Session
from labq.errors import BadInputError, ConflictError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labq.packing.pack import Context

#: Called with a stage ("packing" or "uploading"), the bytes done and the bytes in all.
Progress = Callable[[str, int, int], None]
#: Tries in a row that brought no byte further.
_TRIES = 6


def open_directory(directory: str, dockerfile: str) -> Context:
    """Look through ``directory`` and return its context.

    Raises:
        BadInputError: no directory, no Dockerfile, or a file that cannot be packed.
    """
    from labq.packing.errors import PackingError
    from labq.packing.pack import open_context

    try:
        return open_context(directory, dockerfile)
    except PackingError as error:
        raise BadInputError(error.what, error.next) from None


def digest(context: Context, progress: Progress | None = None) -> str:
    """Return the context's SHA-256; from the cache when nothing in the directory changed."""
    import os

    from labq.clock import now
    from labq.packing.errors import PackingError

    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    report = None if progress is None else lambda done, total: progress("packing", done, total)
    try:
        return context.digest_cached(os.path.join(base, "labq", "contexts"), now=now(), progress=report)
    except PackingError as error:
        raise BadInputError(error.what, error.next) from None


def received(session: Session, sha: str) -> int | None:
    """Return how many bytes of a context the server holds; None = all of it, checked."""
    answer = session.send("HEAD", f"/v1/contexts/{sha}", accept=(404,))
    if answer.status < 400:
        return None
    held = answer.headers.get("x-received", "0")
    return int(held) if held.isascii() and held.isdigit() else 0


def upload(
    session: Session,
    context: Context,
    sha: str,
    progress: Progress | None = None,
    *,
    before: Callable[[], None] | None = None,
) -> bool:
    """Bring the context to the server.

    Args:
        session: the server.
        context: what to send.
        sha: its digest.
        progress: told after each piece.
        before: called when there is something to send, before it is sent; may raise.

    Returns:
        False when the server had it already.

    Raises:
        LabqError: the server refused it (too large, disk full), or went away for good.
    """
    offset = received(session, sha)
    if offset is None:
        return False
    if before is not None:
        before()
    tries = 0
    while offset is not None:
        try:
            _put(session, context, sha, offset, progress)
        except (OSError, ConflictError) as error:
            if tries >= _TRIES:
                raise session.away(error) if isinstance(error, OSError) else error from None
            session.on_away("the upload was interrupted, going on")
            sleep(BACKOFF[min(tries, len(BACKOFF) - 1)])
        sent, offset = offset, received(session, sha)
        tries = 0 if offset is None or offset > sent else tries + 1
        if tries > _TRIES:
            raise UnavailableError(
                f"the server at {session.address.url} takes no more of the context ({offset} bytes of {context.total_bytes})",
                "try again; if it stays so, look at the server's disk and log: labq doctor",
            )
    return True


def _put(session: Session, context: Context, sha: str, offset: int, progress: Progress | None) -> None:
    from labq.packing.errors import PackingError

    headers = {
        "X-Offset": str(offset),
        "X-Total": str(context.total_bytes),
        "Content-Type": "application/x-tar",
    }
    length = context.total_bytes - offset
    try:
        session.send_pieces("PUT", f"/v1/contexts/{sha}", _pieces(context, offset, progress), length, headers)
    except PackingError as error:
        session.close()
        raise BadInputError(error.what, error.next) from None


def _pieces(context: Context, offset: int, progress: Progress | None) -> Iterator[bytes]:
    done = offset
    for piece in context.stream(offset):
        if progress is not None:
            progress("uploading", done, context.total_bytes)
        yield piece
        done += len(piece)
    if progress is not None:
        progress("uploading", done, context.total_bytes)
