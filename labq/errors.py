"""Every deliberate error: what happened, and what to do next.

Lives here: the base class, its subclasses with their stable codes, the one JSON shape.
Must not live here: texts that belong to one verb (they are written where the error is raised).

An error crosses the wire as ``{"error": {"code", "what", "next", ...}}`` and comes back as the same
class on the client, so that a person reads the same two lines wherever it was found.
"""

from __future__ import annotations

# `typing` costs 3 ms at every start of the command line; annotations are not evaluated.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, ClassVar


class LabqError(Exception):
    """Something labq refuses or could not do, in words for the person who asked.

    Attributes:
        what: one sentence: what happened, quoting the input.
        next: one sentence: what is legal, or what to type next.
        details: JSON-able facts for programs.
    """

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    exit_status: ClassVar[int] = 1

    def __init__(self, what: str, next: str = "", **details: Any) -> None:  # noqa: A002
        super().__init__(what)
        self.what = what
        self.next = next
        self.details = details

    def __str__(self) -> str:
        """Return the two lines a person reads."""
        return f"{self.what}\n  next: {self.next}" if self.next else self.what

    def to_wire(self) -> dict[str, Any]:
        """Return the one JSON shape of an error."""
        body: dict[str, Any] = {"code": self.code, "what": self.what, "next": self.next}
        if self.details:
            body["details"] = self.details
        return {"error": body}


class BadInputError(LabqError):
    """The request says something that is not legal."""

    code = "bad_input"
    http_status = 422
    exit_status = 2


class ImpossibleError(LabqError):
    """No node of this lab could ever run the job."""

    code = "impossible"
    http_status = 422
    exit_status = 2


class NotAllowedError(LabqError):
    """The token is not known, or its person may not do this."""

    code = "not_allowed"
    http_status = 403
    exit_status = 3


class NoTokenError(LabqError):
    """No token, or one that nobody here knows."""

    code = "no_token"
    http_status = 401
    exit_status = 3


class NotFoundError(LabqError):
    """There is no such job, node, image or file."""

    code = "not_found"
    http_status = 404
    exit_status = 1


class ConflictError(LabqError):
    """The thing is in a state in which this cannot be done."""

    code = "conflict"
    http_status = 409
    exit_status = 1


class IllegalMoveError(ConflictError):
    """A move that the table of states does not know."""

    code = "illegal_move"


class TooLargeError(LabqError):
    """The request is larger than this lab accepts."""

    code = "too_large"
    http_status = 413
    exit_status = 2


class StorageFullError(LabqError):
    """The server's disk is full; nothing of the request was kept."""

    code = "storage_full"
    http_status = 507
    exit_status = 1


class UnavailableError(LabqError):
    """A part that is needed does not answer."""

    code = "unavailable"
    http_status = 503
    exit_status = 69  # EX_UNAVAILABLE of sysexits.h


class InternalError(LabqError):
    """A fault of labq itself."""

    code = "internal"
    http_status = 500
    exit_status = 70  # EX_SOFTWARE of sysexits.h


def _all_classes(base: type[LabqError]) -> list[type[LabqError]]:
    found = [base]
    for child in base.__subclasses__():
        found += _all_classes(child)
    return found


def from_wire(body: Mapping[str, Any], http_status: int) -> LabqError:
    """Return the error that a server's JSON body describes, as its own class."""
    fields = body.get("error")
    if not isinstance(fields, dict):
        return UnavailableError(
            f"the server answered {http_status} without labq's error shape",
            "check that LABQ_SERVER names a labq server: labq doctor",
        )
    code = fields.get("code")
    kind = next((k for k in _all_classes(LabqError) if k.code == code), LabqError)
    details = fields.get("details")
    extra = details if isinstance(details, dict) else {}
    return kind(str(fields.get("what", "unknown error")), str(fields.get("next", "")), **extra)


def closest(word: str, legal: list[str]) -> str | None:
    """Return the legal word nearest to ``word``, or None when none is near."""
    from difflib import get_close_matches

    found = get_close_matches(word, legal, n=1, cutoff=0.6)
    return found[0] if found else None
