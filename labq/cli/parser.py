"""argparse with errors in labq's two lines and nearest suggestions; flags that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from labq.cli import terminal
from labq.errors import BadInputError, closest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, NoReturn

    from labq.client import Client

#: Our messages are not translated; looking for a translation costs 2 ms.
argparse._ = str  # type: ignore[attr-defined]

#: Where everything after ``--`` goes; only verbs that declare it take any.
COMMAND = "command"


class Parser(argparse.ArgumentParser):
    """A parser that raises instead of ending the process."""

    #: whether this verb takes ``-- CMD…``
    takes_command = False
    #: whether help will be shown, so that texts are worth fetching
    wants_help = False

    def error(self, message: str) -> NoReturn:
        """Raise argparse's complaint as ours."""
        raise BadInputError(f"{self.prog}: {_plain(message)}", f"`{self.prog} --help` shows what is legal")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """A formatter that is told the width: argparse makes one for each flag, and asks ``shutil`` each time."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=min(100, terminal.width()) - 2)


class _HelpAction(argparse.Action):
    """``--help`` that ends without ending the process."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, *_: Any) -> None:
        parser.print_help()
        namespace.helped = True
        raise _HelpedError


class _HelpedError(Exception):
    pass


def make(verb: str, module: ModuleType, *, wants_help: bool = True) -> Parser:
    """Return the parser of a verb; its flags have no help texts unless help is wanted."""
    text = (module.__doc__ or "").strip()
    first, _, rest = text.partition("\n")
    parser = Parser(
        prog=f"labq {verb}",
        description=first,
        epilog=rest.strip("\n") or None,
        add_help=False,
        allow_abbrev=False,
        formatter_class=_Formatter,
    )
    parser.wants_help = wants_help
    module.declare(parser)
    parser.add_argument(
        "--server", metavar="URL", help="labq server (else LABQ_SERVER, else the configuration file)"
    )
    parser.add_argument("-h", "--help", action=_HelpAction, nargs=0, help="show this")
    return parser


def parse(verb: str, module: ModuleType, argv: Sequence[str]) -> Any:
    """Return the options of a command line; None when help was asked for and shown.

    Raises:
        BadInputError: an unknown flag (with the nearest one), a missing or an illegal value.
    """
    words = list(argv)
    command: list[str] | None = None
    at = words.index("--") if "--" in words else len(words)
    parser = make(verb, module, wants_help="-h" in words[:at] or "--help" in words[:at])
    if parser.takes_command and "--" in words:
        words, command = words[:at], words[at + 1 :]
    try:
        options, extra = parser.parse_known_args(_joined(parser, words))
    except _HelpedError:
        return None
    if extra:
        raise _unexpected(parser, extra[0])
    if parser.takes_command:
        setattr(options, COMMAND, command)
    return options


def _plain(message: str) -> str:
    """Return argparse's complaint in our words.

    >>> _plain("argument -f/--follow: ignored explicit argument 'yes'"), _plain("argument --tag: expected one argument")
    ("--follow takes no value, not 'yes'", '--tag needs a value')
    """
    flag, colon, rest = message.removeprefix("argument ").partition(": ")
    name = flag.rpartition("/")[2]
    if colon and rest.startswith("ignored explicit argument "):
        return f"{name} takes no value, not {rest.removeprefix('ignored explicit argument ')}"
    if colon and rest == "expected one argument":
        return f"{name} needs a value"
    if flag == "the following arguments are required":
        return f"{rest} is missing"
    return message


def _joined(parser: Parser, words: list[str]) -> list[str]:
    """Return the words with ``--memory -4GB`` as ``--memory=-4GB``: argparse takes ``-4GB`` for a flag."""
    takes_value = {
        flag
        for action in parser._actions
        if action.nargs is None
        for flag in action.option_strings
        if flag.startswith("--")
    }
    out: list[str] = []
    for word in words:
        if out and out[-1] in takes_value and word[:1] == "-" and word[1:2].isdigit():
            out[-1] += f"={word}"
        else:
            out.append(word)
    return out


def _unexpected(parser: Parser, word: str) -> BadInputError:
    if not word.startswith("-"):
        hint = "; a command for the container goes behind `--`" if parser.takes_command else ""
        return BadInputError(
            f"{parser.prog}: {word!r} is one word too many", f"see `{parser.prog} --help`{hint}"
        )
    name = word.partition("=")[0]
    near = closest(name, [flag for action in parser._actions for flag in action.option_strings])
    hint = f"did you mean {near}? " if near else ""
    return BadInputError(f"{parser.prog} has no flag {name!r}", f"{hint}`{parser.prog} --help` lists them")


def add_json(parser: Parser) -> None:
    """Declare ``--json``."""
    parser.add_argument("--json", action="store_true", help="print the API's JSON, for programs")


def add_job(parser: Parser, *, many: bool = False, help: str = "job id, such as 12 or 12.3") -> None:  # noqa: A002
    """Declare the job id (``options.id``, or ``options.ids`` when there may be several)."""
    if many:
        parser.add_argument("ids", metavar="ID", nargs="+", help=help)
    else:
        parser.add_argument("id", metavar="ID", help=help)


def client(options: Any) -> Client:
    """Return the client of a verb."""
    from labq.client import Client

    return Client(options.server)


def whole(text: str) -> int:
    """Return the number of a flag that takes a count.

    Raises:
        BadInputError: quoting it.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInputError(f"{text!r} is not a whole number", "write digits only, such as 100")
    return int(text)


def duration(text: str) -> float:
    """Return the seconds of a flag that takes a duration."""
    from labq.units import parse_duration

    return parse_duration(text)
