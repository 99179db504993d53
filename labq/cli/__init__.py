"""The command line: one verb is one file, which says its flags and what it does.

__init__.py    which verb, and what every verb does with errors
verbs.py       the table of verbs: `labq --help` imports none of them
parser.py      argparse with our error lines
flags.py, request.py, project_file.py   submit's flags and labq.toml -> the request
provisioning.py   a run of the provisioner on a terminal
following.py   a job's live news on a terminal        progress.py   the bar of packing and uploading
terminal.py    width, colours        zone.py the time zone here        render/       records -> text; pure

Start-up is most of the time of a verb: nothing is imported that the chosen verb does not need.
"""

from __future__ import annotations

import os
import sys

from labq.errors import BadInputError, LabqError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

#: Exit statuses of shells for a process ended by SIGINT and SIGPIPE.
INTERRUPTED, PIPE_CLOSED = 130, 141
#: EX_USAGE, EX_NOINPUT and EX_IOERR of sysexits.h.
USAGE, NO_INPUT, OTHER = 64, 66, 74


def main() -> NoReturn:
    """Run the command line of this process and end it."""
    import gc

    gc.disable()  # a verb lives for milliseconds; `up` and `top` turn it on again
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        status = _pipe_closed()
    except OSError as error:
        status = _complain(LabqError(f"cannot write the output: {error.strerror}"))
    os._exit(status)  # tearing the interpreter down takes 3 ms that nobody needs


def run(argv: list[str]) -> int:
    """Run one command and return its exit status; errors are printed, never raised."""
    try:
        return _dispatch(argv)
    except LabqError as error:
        return _status(argv, error, _complain(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _pipe_closed()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        told = LabqError(f"{where}{error.strerror or error}")
        return _status(argv, told, _complain(told))
    except Exception as error:
        if os.environ.get("LABQ_DEBUG"):
            raise
        from labq.errors import InternalError

        what = f"labq itself failed: {type(error).__name__}: {error}"
        return _complain(InternalError(what, "set LABQ_DEBUG=1, run it again and report what it prints"))


def _status(argv: list[str], error: LabqError, status: int) -> int:
    """Return the exit status of an error: never 1 or 2 where these say how a job ended."""
    words = argv[: argv.index("--")] if "--" in argv else argv
    follows = any(word in {"-f", "-qf", "-fq"} or word.startswith("--follow") for word in words)
    if words[:1] != ["wait"] and not (words[:1] in (["submit"], ["rerun"]) and follows):
        return status
    return {1: NO_INPUT if error.code == "not_found" else OTHER, 2: USAGE}.get(status, status)


def _dispatch(argv: list[str]) -> int:
    from labq.cli import verbs

    name = argv[0] if argv else "help"
    if name in {"-V", "--version"}:
        name = "version"
    if name in {"help", "-h", "--help"}:
        if len(argv) < 2:
            sys.stdout.write(verbs.overview())
            return 0
        name, argv = argv[1], [argv[1], "--help"]
    if name not in verbs.VERBS:
        raise _unknown(name, list(verbs.VERBS))
    from labq.cli.parser import parse

    module = verbs.load(name)
    options = parse(name, module, argv[1:])
    if options is None:
        return 0
    status: int = module.run(options)
    return status


def _unknown(name: str, known: list[str]) -> BadInputError:
    from labq.cli.verbs import MEANT
    from labq.errors import closest

    near = MEANT.get(name) or closest(name, known)
    if near:
        return BadInputError(f"labq has no command {name!r}", f"did you mean `labq {near}`?")
    return BadInputError(f"labq has no command {name!r}", "`labq --help` lists them")


def _complain(error: LabqError) -> int:
    """Print the two lines of an error and return its exit status."""
    try:
        sys.stdout.flush()
        sys.stderr.write(f"error: {error}\n")
        sys.stderr.flush()
    except OSError:
        pass
    return error.exit_status


def _pipe_closed() -> int:
    """Nobody reads on (`labq ls | head`): end quietly, as `cat` does."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    return PIPE_CLOSED
