"""The rules in force, and the file that they come from: looked at while the server runs, used whole or not at all.

A file with mistakes changes nothing: the rules that were in force stay, and ``problem`` says why. So that a restart at
night with such a file does not stop the lab, the last file that was good is kept as a copy in the data directory and is
used then; without a copy the defaults are.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from labq.clock import monotonic, now
from labq.errors import BadInputError, LabqError
from labq.rules.read import Said, load
from labq.settings import Settings
from labq.whole_file import write_whole
from labq_scheduler.files.layout import DataDir
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.rules_of import rules_of

log = logging.getLogger(__name__)

#: Seconds between two looks at the file. A change counts when two looks saw the same: an editor may be writing it.
LOOK = 1.0
#: times of the last modification and change (ns), size, inode; None = there is no file
_Mark = tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True)
class InForce:
    """The rules in force, and where they come from."""

    rules: Rules = field(default_factory=Rules)
    said: Said = field(default_factory=Said)
    #: "file", "copy" (of the last good file) or "defaults"
    source: str = "defaults"
    #: seconds since the epoch
    since: float = 0.0
    #: why the file as it is now is not used; None = it is used, or there is none and none is missed
    problem: LabqError | None = None


class RulesFile:
    """Calling it returns the rules in force. Use it from any thread."""

    def __init__(self, path: Path | None = None, kept: Path | None = None, *, needed: bool = False) -> None:
        """Read the file, whatever it says: this never fails.

        Args:
            path: the file; None = the defaults, for ever.
            kept: where the copy of the last good file is; None = nowhere.
            needed: it is a mistake when there is no such file.
        """
        self.path, self._kept, self._needed = path, kept, needed
        self._lock = threading.Lock()
        self._looked = monotonic()
        self._mark: _Mark = None
        self._seen: _Mark = None
        self._state = InForce(since=now())
        if path is not None:
            self._mark = self._seen = self._look()
            self._begin(path)

    @staticmethod
    def from_settings(settings: Settings) -> RulesFile:
        """Return the rules of a server."""
        files = DataDir(settings.path("data_dir"))
        named = bool(settings.text("rules_file"))
        return RulesFile(
            settings.path("rules_file") if named else files.rules, files.good_rules, needed=named
        )

    def __call__(self) -> Rules:
        """Return the rules in force."""
        return self.state().rules

    def state(self) -> InForce:
        """Return the rules in force and where they come from; the file is looked at once a second at most."""
        with self._lock:
            if self.path is not None and monotonic() - self._looked >= LOOK:
                self._looked = monotonic()
                before, self._seen = self._seen, self._look()
                if self._seen != self._mark and self._seen == before:
                    self._mark = self._seen
                    self._change(self.path)
            return self._state

    def _look(self) -> _Mark:
        assert self.path is not None  # noqa: S101 - for the type checker
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError:  # it may be there, and nobody lets us look
            return 0, 0, 0, 0
        # The time of the last change of any kind, too: whoever lets us read it at last changes nothing in it.
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino

    def _begin(self, path: Path) -> None:
        found = self._read(path)
        if not isinstance(found, LabqError):
            self._state = found
            return
        log.error("the rules are not used: %s", found)
        self._state = InForce(since=now(), problem=found)
        if self._kept is not None and self._kept.exists():
            try:
                said = load(self._kept)
            except LabqError as error:
                log.error("nor is the copy of the last good ones: %s", error)  # noqa: TRY400 - two lines are enough
            else:
                self._state = InForce(rules_of(said), said, "copy", now(), found)
        log.error(
            "in force are %s", "the last good rules" if self._state.source == "copy" else "the defaults"
        )

    def _change(self, path: Path) -> None:
        found = self._read(path)
        if isinstance(found, LabqError):
            log.error("the rules are not changed: %s", found)
            old = self._state
            self._state = InForce(old.rules, old.said, old.source, old.since, found)
            return
        before, after = self._state.said.texts(), found.said.texts()
        changed = {key for key, _ in before.items() ^ after.items()}
        log.info("new rules are in force; changed: %s", ", ".join(sorted(changed)) or "nothing")
        self._state = found

    def _read(self, path: Path) -> InForce | LabqError:
        """Return what is in force by the file as it is now, or why it is not used."""
        if self._mark is None and not self._needed:
            if self._kept is not None:
                with suppress(OSError):
                    self._kept.unlink(missing_ok=True)
            return InForce(since=now())
        try:
            said = load(path)
        except BadInputError as error:
            return error
        self._keep(said.text)
        return InForce(rules_of(said), said, "file", now())

    def _keep(self, text: str) -> None:
        if self._kept is None:
            return
        try:
            if not self._kept.exists() or self._kept.read_text("utf-8") != text:
                write_whole(self._kept, text, mode=0o644, sync=True)
        except OSError as error:
            log.warning("no copy of the rules can be kept in %s: %s", self._kept, error.strerror)


def read_rules(path: Path) -> Rules:
    """Return the rules that a file says, once.

    Raises:
        BadInputError: it cannot be read, or has mistakes.
    """
    return rules_of(load(path))
