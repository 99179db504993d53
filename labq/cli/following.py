"""A job's live news on a terminal: its log on stdout, byte for byte; everything else on stderr."""

from __future__ import annotations

import re
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
#: Colours, movements and titles that a build's programs send to a terminal.
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])"
)
#: How Docker's builder begins a step.
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")
#: What Docker's builder says between the steps, of use to nobody.
_NOISE = re.compile(
    r" *(?:-+> (?:Running in )?[0-9a-f]{12}|(?:-+> )?(?:Removing|Removed) intermediate container .*)"
)


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
        #: the last byte that the job wrote ended a line
        self._line_ended = True
        self._said = ""
        #: the latest attempt that was told of, and whether it goes on
        self._attempt, self._placed = 0, False
        #: the unfinished last line of the build's output; None = nothing was built
        self._build: str | None = None
        #: what is told when the build's output is over
        self._held: Mapping[str, Any] | None = None

    def take(self, news: Followed) -> None:
        """Print one piece of news."""
        if news.kind == "build":
            self._take_build(news.data)
        elif news.kind == "state" and news.body.get("state") == "starting" and self._build is not None:
            self._held = news.body
        else:
            self._end_build()
            if news.kind == "log":
                self._log(news.body, news.data)
            elif news.kind == "state":
                self._state(news.body)
            elif news.kind == "end":
                self.final = news.body

    def note(self, text: str) -> None:
        """Print a remark of labq's own, on a line of its own."""
        self._note(text if self._line_ended else f"\n{text}")
        self._line_ended = True

    def _take_build(self, data: bytes) -> None:
        text = (self._build or "") + data.decode(errors="replace").replace("\r", "\n")
        *lines, self._build = text.split("\n")
        for line in lines:
            self._build_line(line)

    def _build_line(self, line: str) -> None:
        shown = clean(_ESCAPES.sub("", line).rstrip())
        if step := _STEP.fullmatch(shown):
            from labq.cli.progress import steps

            self.note(steps("building", int(step[1]), int(step[2]), step[3]))
        elif shown and not _NOISE.fullmatch(shown):
            self.note(f"  | {shown}")

    def _end_build(self) -> None:
        if self._build:
            self._build_line(self._build)
            self._build = ""
        held, self._held = self._held, None
        if held is not None:
            self._state(held)

    def _state(self, body: Mapping[str, Any]) -> None:
        queued = body.get("state") == "queued"
        self._say(state_line(body, ended=self._attempt if queued and self._placed else 0))
        self._attempt, self._placed = int(body.get("attempt") or self._attempt), not queued

    def _log(self, body: Mapping[str, Any], data: bytes) -> None:
        stream = body.get("stream")
        if stream not in {"stdout", "stderr"}:  # a remark of the agent
            self.note(f"labq: {clean(data.decode(errors='replace').rstrip())}")
            return
        if self._stream not in {None, stream}:
            return
        self._out.write(self._stamped(data, str(body.get("t", ""))) if self._stamps else data)
        self._out.flush()
        self._line_ended = data.endswith(b"\n") if data else self._line_ended

    def _stamped(self, data: bytes, time: str) -> bytes:
        parts = []
        for line in data.splitlines(keepends=True):
            parts.append(time.encode() + b" " + line if self._line_begins else line)
            self._line_begins = line.endswith(b"\n")
        return b"".join(parts)

    def _say(self, text: str) -> None:
        if text and text != self._said:
            self._said = text
            self.note(text)


def state_line(body: Mapping[str, Any], ended: int = 0) -> str:
    """Return what a change of state tells; "" for the end, which has a verdict of its own.

    Args:
        body: the change.
        ended: the attempt that this change ended, when it is queued again; 0 = none.
    """
    state, number = str(body.get("state")), body.get("id")
    if state in _FINAL:
        return ""
    if state == "queued":
        why = clean(str(body.get("why") or ""))
        if ended and why and not why.startswith("attempt "):
            return f"job {number}: attempt {ended} ended ({why.rstrip('.')}); it waits for the next"
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
    follower.note(f"job {job_id}: {clean(str(final.get('verdict') or final.get('state')))}")
    return STATUS.get(str(final.get("state")), 1)
