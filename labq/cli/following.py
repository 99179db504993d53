"""A job's live news on a terminal: its log on stdout, byte for byte; everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from labq.cli import terminal
from labq.cli.render.text import clean
from labq.cli.wait import STATUS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from labq.client import Client
    from labq.client.follow import Followed

_FINAL = frozenset(STATUS)


class Follower:
    """Prints news as they come.

    Attributes:
        final: the full view of the job once it has ended.
    """

    def __init__(
        self,
        out: BinaryIO,
        note: Callable[[str], None],
        *,
        stream: str | None = None,
        stamps: bool = False,
    ) -> None:
        """Print to ``out`` and ``note``.

        Args:
            out: takes what the job writes.
            note: takes a line of labq's own.
            stream: only "stdout" or "stderr" of the job; None = both.
            stamps: write the time in front of each line.
        """
        self.final: Mapping[str, Any] | None = None
        self._out = out
        self._note = note
        self._stream = stream
        self._stamps = stamps
        self._line_begins = True
        self._said = ""

    def take(self, news: Followed) -> None:
        """Print one piece of news."""
        if news.kind == "log":
            self._log(news.body, news.data)
        elif news.kind == "build":
            for line in news.data.decode(errors="replace").replace("\r", "\n").splitlines():
                self._note(f"  | {clean(line)}")
        elif news.kind == "state":
            self._say(state_line(news.body))
        elif news.kind == "end":
            self.final = news.body

    def _log(self, body: Mapping[str, Any], data: bytes) -> None:
        stream = body.get("stream")
        if stream not in {"stdout", "stderr"}:  # a remark of the agent
            self._note(f"labq: {clean(data.decode(errors='replace').rstrip())}")
            return
        if self._stream not in {None, stream}:
            return
        self._out.write(self._stamped(data, str(body.get("t", ""))) if self._stamps else data)
        self._out.flush()

    def _stamped(self, data: bytes, time: str) -> bytes:
        parts = []
        for line in data.splitlines(keepends=True):
            parts.append(time.encode() + b" " + line if self._line_begins else line)
            self._line_begins = line.endswith(b"\n")
        return b"".join(parts)

    def _say(self, text: str) -> None:
        if text and text != self._said:
            self._said = text
            self._note(text)


def state_line(body: Mapping[str, Any]) -> str:
    """Return what a change of state tells; "" for the end, which has a verdict of its own."""
    state, number = str(body.get("state")), body.get("id")
    if state in _FINAL:
        return ""
    if state == "queued":
        why = clean(str(body.get("why") or ""))
        return f"job {number} waits: {why}" if why else f"job {number} is queued"
    node = body.get("node")
    return f"job {number} is {state}" + (f" on {clean(str(node))}" if node else "")


def follow_job(client: Client, job_id: str, **choice: Any) -> int:
    """Print a job's news until it has ended; return the exit status that `labq wait` has.

    Ctrl-C only ends the following.

    Args:
        client: the server.
        job_id: a job, not an array.
        **choice: ``tail`` and ``since`` for the server, ``stream`` and ``stamps`` for ``Follower``.
    """
    follower = Follower(
        sys.stdout.buffer,
        terminal.note,
        stream=choice.pop("stream", None),
        stamps=choice.pop("stamps", False),
    )
    client.session.on_away = terminal.note
    try:
        for news in client.follow_logs(job_id, **choice):
            follower.take(news)
    except KeyboardInterrupt:
        terminal.note(f"\ndetached: job {job_id} goes on; labq logs -f {job_id} · labq cancel {job_id}")
        raise
    final = follower.final or {}
    terminal.note(f"job {job_id}: {clean(str(final.get('verdict') or final.get('state')))}")
    return STATUS.get(str(final.get("state")), 1)
