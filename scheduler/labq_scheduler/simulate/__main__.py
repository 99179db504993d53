"""What `labq simulate` starts: reads one request, replays, prints the answer. People type `labq simulate`.

The verb's own process needs nothing but the standard library; this one needs labq[scheduler].
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from labq.errors import BadInputError, InternalError, LabqError
from labq.program import exit_status


def main() -> int:
    """Answer the request in the file whose descriptor is the one argument; return the exit status."""
    return exit_status(lambda: _guarded(_request()))


def _request() -> dict[str, Any]:
    try:
        with os.fdopen(int(sys.argv[1])) as stream:
            found: dict[str, Any] = json.load(stream)
    except (IndexError, ValueError, OSError):
        raise BadInputError("this program is started by `labq simulate`", "labq simulate --help") from None
    return found


def _guarded(request: Mapping[str, Any]) -> None:
    try:
        # Here and not above: Ctrl-C while modules are loaded is no traceback, either.
        from labq_scheduler.simulate.answer import answer

        answer(request)
    except BrokenPipeError:  # nobody reads on: `labq simulate … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise LabqError(f"{where}{error.strerror or error}", "choose another file or directory") from None
    except MemoryError:
        raise LabqError("there is not enough memory", "replay fewer jobs at once") from None
    except LabqError:
        raise
    except Exception as error:
        if os.environ.get("LABQ_DEBUG"):
            raise
        what = f"labq itself failed: {type(error).__name__}: {error}"
        raise InternalError(what, "set LABQ_DEBUG=1, run it again and report what it prints") from None


if __name__ == "__main__":
    sys.exit(main())
