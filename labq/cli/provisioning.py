"""Following a run of the provisioner: a line for each host on a terminal, plain lines elsewhere; Ctrl-C asks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping

from labq.cli import terminal
from labq.cli.render.provision import Progress, difference, plain, still_queued, summary
from labq.clock import monotonic, now
from labq.errors import BadInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

#: Seconds after which a run that has not begun is told to wait, and for what.
_LONG_QUEUED = 15.0
#: Exit status by final state.
STATUS = {"succeeded": 0, "failed": 1, "cancelled": 2}


class Display:
    """Draws a run on a terminal, or writes lines."""

    def __init__(
        self, stream: TextIO, *, diff: bool, quiet: bool = False, patience: float = _LONG_QUEUED
    ) -> None:
        """Draw.

        Args:
            stream: where.
            diff: also what changes in files.
            quiet: draw nothing.
            patience: seconds after which a run that has not begun is told to wait, and for what.
        """
        self.progress = Progress()
        self._stream, self._diff, self._quiet = stream, diff, quiet
        self._live = terminal.is_terminal(stream)
        self._drawn = 0
        self._began, self._patience, self._told_why = monotonic(), patience, ""

    def take(self, news: Mapping[str, Any]) -> None:
        """Take ``{"events", "run"}``."""
        self.progress.run = news["run"]
        lines = []
        for event in news["events"]:
            self.progress.take(event)
            if (self._diff and (text := difference(event))) or (
                text := plain(event) if not self._live or event["kind"] == "say" else ""
            ):
                lines.append(text)
        if text := self._why_queued():
            lines.append(text)
        if self._quiet:
            return
        self.clear()
        for line in lines:
            self._stream.write(f"{line}\n")
        if self._live:
            picture = self.progress.picture(terminal.width(), _rows(), colours=terminal.colours(self._stream))
            self._stream.write("".join(f"{line}\n" for line in picture))
            self._drawn = len(picture)
        self._stream.flush()

    def _why_queued(self) -> str:
        """Return what the run waits for, once it has done so for long; once for each reason."""
        run, waited = self.progress.run, monotonic() - self._began
        if run.get("state") != "queued" or waited < self._patience:
            return ""
        reason = ", ".join(run["waits_for"]) or "a driver"
        if reason == self._told_why:
            return ""
        self._told_why = reason
        return still_queued(run, waited)

    def clear(self) -> None:
        """Remove the lines of the hosts."""
        if self._drawn:
            self._stream.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0


def _rows() -> int:
    import os

    try:
        return max(3, os.get_terminal_size(sys.stderr.fileno()).lines - 2)
    except OSError:
        return 20


def follow(
    news: Callable[[int], Iterable[Mapping[str, Any]]],
    display: Display,
    cancel: Callable[[], object],
    leave: Callable[[], str] | None,
) -> Mapping[str, Any] | None:
    """Show a run until it has ended; return it, or None when it was left to go on.

    Args:
        news: returns the news behind an event; asked again after Ctrl-C.
        display: where.
        cancel: asks for an end of the run.
        leave: returns what is said when the run is left; None = it cannot be left.
    """
    after = 0
    while True:
        try:
            for one in news(after):
                display.take(one)
                after = one["events"][-1]["n"] if one["events"] else after
            break
        except KeyboardInterrupt:
            display.clear()
            choice = ask(leaves=leave is not None)
            if choice == "leave" and leave is not None:
                terminal.note(leave())
                return None
            if choice == "cancel":
                cancel()
                terminal.note("cancelling: nothing more is begun; what a machine works on goes on there")
            if display.progress.run:
                display.take({"events": [], "run": display.progress.run})
    display.clear()
    return display.progress.run


def ask(*, leaves: bool) -> str:
    """Return "leave", "cancel" or "go on". Without a terminal nobody is asked: the run is left, or cancelled."""
    usual = "leave" if leaves else "cancel"
    if not (terminal.is_terminal(sys.stdin) and terminal.is_terminal(sys.stderr)):
        return usual
    words = "[l]eave it running, " if leaves else ""
    sys.stderr.write(f"\nlabq provision: {words}[c]ancel it, or [g]o on following? [{usual[0]}] ")
    sys.stderr.flush()
    try:
        said = sys.stdin.readline().strip().lower()[:1]
    except KeyboardInterrupt:
        return usual
    return {"l": usual, "c": "cancel", "g": "go on"}.get(said, usual)


def finish(run: Mapping[str, Any], *, json: bool) -> int:
    """Print how a run ended; return the exit status.

    Raises:
        BadInputError: it was refused before anything ran.
    """
    if json:
        terminal.print_json(run)
    if run["refused"] and not json:
        raise BadInputError(run["refused"]["what"], run["refused"]["next"])
    if not json:
        sys.stdout.write(summary(run, now(), terminal.width(), colours=terminal.colours()))
    return 2 if run["refused"] else STATUS.get(str(run["state"]), 1)


def run_on_server(client: Any, request: Mapping[str, Any], *, detach: bool, json: bool) -> int:
    """Ask the server for a run and follow it; return the exit status."""
    made = client.provision(request)
    if detach:
        if json:
            terminal.print_json(made)
        else:
            print(f"run {made['id']} is queued; labq provision follow {made['id']}")
        return 0
    return follow_on_server(client, made["id"], diff=bool(request.get("diff")), json=json)


def follow_on_server(client: Any, run_id: str, *, diff: bool, json: bool) -> int:
    """Follow a run of the server; return the exit status."""
    client.session.on_away = terminal.note
    display = Display(sys.stderr, diff=diff, quiet=json)

    def news(after: int) -> Iterable[Mapping[str, Any]]:
        client.session.close()  # Ctrl-C may have left half an answer on it
        found: Iterable[Mapping[str, Any]] = client.provision_news(run_id, after)
        return found

    run = follow(
        news, display, lambda: client.cancel_provision(run_id),
        lambda: f"run {run_id} goes on; labq provision follow {run_id} · labq provision cancel {run_id}",
    )  # fmt: skip
    return 0 if run is None else finish(run, json=json)
