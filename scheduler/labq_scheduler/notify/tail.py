"""The last lines of a job's log, when the data directory is shared with the server."""

from __future__ import annotations

import re

from labq.errors import LabqError
from labq_scheduler.files.layout import DataDir
from labq_scheduler.files.logs import Selection, read_raw
from labq_scheduler.notify.blocks import clean

LINES = 15
#: Characters of a line, and bytes read at most: a progress bar is one line of megabytes.
WIDTH, MOST = 180, 2**18
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")


def last_lines(files: DataDir, job_id: str, attempt: int) -> tuple[str, ...]:
    """Return the last lines of an attempt's log, cut and cleaned; none when it cannot be read."""
    data = bytearray()
    try:
        for piece in read_raw(files.log(job_id, attempt), Selection(tail=LINES)):
            data += piece
            del data[:-MOST]
    except (OSError, ValueError, LabqError):
        return ()
    return shown(bytes(data))


def shown(data: bytes) -> tuple[str, ...]:
    """Return what a terminal would show of the last lines: no colours, of a progress bar its last state."""
    lines = _ESCAPES.sub("", data.decode("utf-8", "replace")).rstrip().split("\n")
    found = [clean(line.rstrip("\r").rpartition("\r")[2])[:WIDTH].rstrip() for line in lines[-LINES:]]
    return tuple(found) if any(found) else ()
