"""`labq provision --here`: the same driver as the service's, started on the spot."""

from __future__ import annotations

import json as codec
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping

from labq.cli.provisioning import Display, finish, follow
from labq.errors import BadInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Commands that can do without a server.
_HERE = re.compile(r"\b(labq provision|labq doctor)(?= )(?! --here)")


def run_here(request: Mapping[str, Any], *, json: bool) -> int:
    """Run it on this machine and follow it; return the exit status.

    Raises:
        BadInputError: it was refused, or there is no labq-provisioner here.
    """
    driver = Driver(request)
    display = Display(sys.stderr, diff=bool(request.get("diff")), quiet=json)
    run = follow(lambda _after: driver.news(), display, driver.cancel, None)
    driver.close()
    return finish(run or {}, json=json)


def news_here(request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the news of a run on this machine, to its end; it is cancelled when nobody reads on.

    Raises:
        BadInputError: there is no labq-provisioner here, or it could not begin.
    """
    driver = Driver(request)
    try:
        yield from driver.news()
    finally:
        driver.cancel()
    driver.close()


class Driver:
    """A ``labq-provisioner`` for one run."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        """Start it. In a session of its own: Ctrl-C is ours, and asks first."""
        command = [_program(), "--log-level", "error", "--request", codec.dumps(request)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
            start_new_session=True,
        )  # fmt: skip
        self._run: dict[str, Any] = {}

    def news(self) -> Iterator[Mapping[str, Any]]:
        """Yield ``{"events", "run"}``; may be asked again after Ctrl-C."""
        while line := (self._process.stdout.readline() if self._process.stdout else ""):
            body = codec.loads(line)
            self._run |= told_here(body.get("run") or {})
            yield {"events": [body["event"]] if "event" in body else [], "run": dict(self._run)}

    def cancel(self) -> None:
        """Have it end."""
        if self._process.poll() is None:
            self._process.terminate()

    def close(self) -> None:
        """Wait for its end.

        Raises:
            BadInputError: it ended before its run did; quotes what it said.
        """
        said = self._process.stderr.read() if self._process.stderr else ""
        self._process.wait()
        if not self._run.get("ended"):
            what, _, then = said.strip().removeprefix("error: ").partition("\n  next: ")
            raise BadInputError(
                what or "labq-provisioner ended without a word",
                then or "run it by hand: labq-provisioner --once site.yml",
            )


def told_here(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run whose advice is for this machine: what is to be typed again is typed with --here. Pure."""
    failures = [
        one | {"next": _HERE.sub(r"\1 --here", str(one["next"]))} for one in run.get("failures") or []
    ]
    return {**run, "failures": failures} if failures else dict(run)


def _program() -> str:
    beside = os.path.join(os.path.dirname(sys.executable), "labq-provisioner")
    if os.path.exists(beside):
        return beside
    from shutil import which

    found = which("labq-provisioner")
    if found is None:
        raise BadInputError(
            "there is no labq-provisioner on this machine",
            "pip install 'labq[provision]', or leave out --here",
        )
    return found
