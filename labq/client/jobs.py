"""The part of ``Client`` that looks at jobs, follows them and ends them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labq.client import route
from labq.client.answer import Response
from labq.client.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labq.client.follow import Followed

#: Jobs asked for at once when all are wanted.
_PAGE = 10_000
#: The longest wait of one request, in seconds (the server's limit).
_LONG_POLL = 55


class JobList(list["dict[str, Any]"]):
    """Jobs, and how many there are in all.

    Attributes:
        total: jobs that match, whether they are in this list or not.
    """

    total = 0


class Jobs:
    """``jobs``, ``job``, ``why``, ``events``, ``wait``, ``logs``, ``outputs``, ``cancel``, ``keep``, ``note``."""

    session: Session

    def jobs(
        self,
        *,
        owner: str | None = None,
        state: str | None = None,
        tag: str | None = None,
        name: str | None = None,
        since: str | None = None,
        array: str | None = None,
        limit: int | None = None,
    ) -> JobList:
        """Return jobs, newest last.

        Args:
            owner: a name, ``*`` for everybody; None = yours.
            state: ``queued,running``, ``active``, ``ended`` or ``all``; None = active and those that ended
                in the last 24 hours.
            tag: only jobs with this tag.
            name: only jobs with this name.
            since: only jobs that are active, or ended since then: ``2h`` or an RFC 3339 time.
            array: only tasks of this array.
            limit: at most so many; 0 = all; None = the server's 200.
        """
        query: dict[str, str | int | None] = {
            "owner": owner, "state": state, "tag": tag, "name": name, "since": since, "array": array,
            "limit": _PAGE if limit == 0 else limit, "cursor": None,
        }  # fmt: skip
        found = JobList()
        while True:
            answer = self.session.send("GET", "/v1/jobs", query=query)
            page = self.session.parsed(answer)
            total = answer.headers.get("x-total-count", "")
            found.total = int(total) if total.isdigit() else len(page)
            query["cursor"] = answer.headers.get("x-next-cursor") or None
            if limit != 0 or query["cursor"] is None or not page:
                found[:0] = page
                return found
            found[:0] = page

    def job(self, job_id: str) -> dict[str, Any]:
        """Return everything about a job, or the tasks of an array."""
        found: dict[str, Any] = self.session.json("GET", route.job(job_id))
        return found

    def why(self, job_id: str) -> dict[str, Any]:
        """Return why a job waits, and when it is expected to start: ``{"id", "state", "why", "estimate", …}``."""
        found: dict[str, Any] = self.session.json("GET", f"{route.job(job_id)}/why")
        return found

    def events(self, job_id: str) -> Iterator[dict[str, Any]]:
        """Yield the job's state now and at each change, until it is final."""
        from labq.client.follow import follow
        from labq.states import FINAL

        for news in follow(self.session, f"{route.job(job_id)}/events", {}):
            yield news.body
            if news.body.get("state") in FINAL:
                return

    def wait(self, job_id: str, timeout: float | None = None) -> dict[str, Any]:
        """Wait until a job has ended and return it.

        Args:
            job_id: a job, not an array.
            timeout: seconds; None = for ever.

        Raises:
            TimeoutError: it has not ended in time.
        """
        from time import monotonic

        from labq.client.follow import PATIENCE

        deadline = None if timeout is None else monotonic() + timeout
        while True:
            left = _LONG_POLL if deadline is None else max(0, min(_LONG_POLL, deadline - monotonic()))
            answer = self.session.send(
                "GET", f"{route.job(job_id)}/wait", query={"timeout": f"{left:.3f}"},
                timeout=_LONG_POLL + 35, patience=PATIENCE,
            )  # fmt: skip
            view: dict[str, Any] = self.session.parsed(answer)
            if answer.status != 202:
                return view
            if deadline is not None and monotonic() >= deadline:
                raise TimeoutError(f"job {job_id} is still {view.get('state')}")

    def logs(
        self,
        job_id: str,
        *,
        attempt: int | None = None,
        tail: int | None = None,
        since: str | None = None,
        timestamps: bool = False,
        stream: str | None = None,
    ) -> Iterator[bytes]:
        """Yield the bytes that a job has written so far, as they were written."""
        query = {
            "attempt": attempt, "tail": tail, "since": since, "timestamps": 1 if timestamps else None, "stream": stream,
        }  # fmt: skip
        answer = self.session.send("GET", f"{route.job(job_id)}/logs", query=query, stream=True)
        while True:
            try:
                piece = answer.read1()
            except OSError as error:
                raise self.session.away(error) from None
            if not piece:
                return
            yield piece

    def follow_logs(
        self, job_id: str, *, tail: int | None = None, since: str | None = None
    ) -> Iterator[Followed]:
        """Yield what a job writes and how its state changes, live, until it has ended."""
        from labq.client.follow import follow

        return follow(self.session, f"{route.job(job_id)}/logs/follow", {"tail": tail, "since": since})

    def outputs(self, job_id: str, *, attempt: int | None = None) -> Response:
        """Return the tar stream of what a job left in ``/outputs``; read it to its end."""
        return self.session.send(
            "GET", f"{route.job(job_id)}/outputs", query={"attempt": attempt}, stream=True
        )

    def fetch(
        self,
        job_id: str,
        to: str | None = None,
        *,
        attempt: int | None = None,
        refused: Callable[[str, str], None] = lambda name, reason: None,
    ) -> list[str]:
        """Unpack a job's outputs into ``to`` (``labq-outputs/<id>``) and return the files' paths."""
        from labq.client.extract import extract

        answer = self.outputs(job_id, attempt=attempt)
        return list(extract(answer, to or f"labq-outputs/{job_id}", refused))

    def cancel(self, job_id: str, grace: str | None = None) -> dict[str, Any]:
        """Cancel a job or all tasks of an array: ``{"cancelled", "stopping", "already"}``."""
        body = {} if grace is None else {"grace": grace}
        found: dict[str, Any] = self.session.json(
            "POST", f"{route.job(job_id)}/cancel", body=body, repeat=True
        )
        return found

    def keep(self, job_id: str, duration: str | None = None) -> Any:
        """Spare a job whose GPUs do nothing for a while; return ``{"id", "until"}``."""
        body = {} if duration is None else {"for": duration}
        return self.session.json("POST", f"{route.job(job_id)}/keep", body=body)

    def note(self, job_id: str, note: str) -> Any:
        """Replace the note of a job."""
        return self.session.json("PUT", f"{route.job(job_id)}/note", body={"note": note})
