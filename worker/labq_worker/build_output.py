"""What the engine says while it builds or pulls -> log text; and why it failed, in one sentence. Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from labq.ending import EndReason

_STEP = re.compile(r"^Step (\d+/\d+) : (.*)$")
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CODE = re.compile(r"returned a non-zero code: (\d+)")
_ABSENT = re.compile(
    r"pull access denied|manifest (for .* )?(not found|unknown)|repository .* not found|not found: manifest",
    re.IGNORECASE,
)
_SILENT = re.compile(
    r"dial tcp|no such host|i/o timeout|connection refused|TLS handshake|Client\.Timeout|network is unreachable"
    r"|x509|proxyconnect|EOF$",
    re.IGNORECASE,
)
#: States of a layer that are worth a line; the bars in between are not.
_LAYER_STATES = {"Pull complete", "Already exists"}


class BuildOutput:
    """Follows one build or pull."""

    def __init__(self) -> None:
        """Begin.

        Attributes:
            error: the engine's words when it failed.
            image_id: the id that a build reported.
        """
        self.error = ""
        self.image_id = ""
        self._step = ""
        self._instruction = ""
        self._lines: deque[str] = deque(maxlen=5)

    def text(self, said: Mapping[str, Any]) -> str:
        """Return the log text of one message; "" when it is worth none."""
        if "stream" in said:
            return self._from_stream(str(said["stream"]))
        if "error" in said:
            self.error = str(said["error"]).strip()
            return self.error + "\n"
        if "aux" in said and isinstance(said["aux"], Mapping):
            self.image_id = str(said["aux"].get("ID", self.image_id))
            return ""
        status = str(said.get("status", ""))
        if not status or (
            said.get("id") and status not in _LAYER_STATES and not status.startswith("Pulling from")
        ):
            return ""
        return (f"{said['id']}: " if said.get("id") else "") + status + "\n"

    def _from_stream(self, text: str) -> str:
        for line in _COLOUR.sub("", text).splitlines():
            if match := _STEP.match(line):
                self._step, self._instruction = match[1], match[2].strip()
                self._lines.clear()
            elif line.strip() and not line.startswith((" ---> ", "Removing intermediate container")):
                self._lines.append(line.strip())
        return text

    def why_build_failed(self) -> str:
        """Return the sentence for the owner: which step, what it said last."""
        instruction = self._instruction
        if instruction.upper().startswith("FROM "):
            base = instruction.split()[1]
            return f"base image {base} {_why_not_pulled(self.error)}"
        where = f"step {self._step} ({_short(instruction)})" if self._step else "the build"
        code = _CODE.search(self.error)
        said = f"failed with exit code {code[1]}" if code else f"failed: {_short(self.error, 400)}"
        last = f", last line: {_short(self._lines[-1], 300)}" if code and self._lines else ""
        return f"{where} {said}{last}"


def why_pull_failed(reference: str, words: str) -> str:
    """Return the sentence for the owner of a job whose named image cannot be had."""
    return f"image {reference} {_why_not_pulled(words)}"


def failed_reason(key: str) -> EndReason:
    """Return the end reason of jobs whose image ``key`` could not be prepared."""
    return EndReason.IMAGE_NOT_FOUND if key.startswith("ref:") else EndReason.IMAGE_BUILD_FAILED


def _why_not_pulled(words: str) -> str:
    short = _short(words, 300)
    if _ABSENT.search(words):
        return f"is not on this node and its registry does not have it (check the name and the tag): {short}"
    if _SILENT.search(words):
        return f"is not on this node and its registry does not answer (load it there, or name one that is there): {short}"
    return f"is not on this node and could not be pulled: {short}"


def _short(text: str, most: int = 120) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
