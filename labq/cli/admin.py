"""Admin: the lab's rules: who is preferred, by how much, and what nobody may do.

labq admin rules check [FILE]     is it legal, and does the lab know the names in it? Nothing is changed
labq admin rules diff [FILE]      what it would change
labq admin rules show             the rules in force, and where each comes from; everybody may ask
labq admin rules show --default   those of a lab that says nothing, as a file to begin with

Without FILE it is the one that LABQ_RULES_FILE names, or rules.toml in the data directory here. The server sees a changed
file by itself, within seconds; one with mistakes changes nothing. Every key: docs/reference/rules.md
"""

from __future__ import annotations

from labq.cli import parser as common
from labq.errors import BadInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

_TOPICS, _ACTIONS = ("rules",), ("check", "show", "diff")


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument("topic", metavar="TOPIC", help="rules")
    parser.add_argument("action", metavar="ACTION", help="check, show or diff")
    parser.add_argument("file", metavar="FILE", nargs="?", help="check, diff: of rules; TOML")
    parser.add_argument("--default", action="store_true", help="show: the defaults, as a file")
    common.add_json(parser)


def run(options: Any) -> int:
    """Do it."""
    _check(options)
    return {"check": _rules_check, "show": _rules_show, "diff": _rules_diff}[options.action](options)


def _rules_check(options: Any) -> int:
    from labq.cli import terminal
    from labq.errors import LabqError

    path, text = _read(options)
    notes: list[str] = []
    asked = True
    try:
        notes = common.client(options).compare_rules(text, str(path))["notes"]
    except BadInputError:
        raise
    except LabqError as error:  # it is legal; whether it fits to the lab is another question
        asked = False
        terminal.note(f"its names were not compared with the lab's: {error.what}")
    if options.json:
        terminal.print_json({"file": str(path), "legal": True, "notes": notes if asked else None})
        return 0
    print(f"{path} is legal")
    _print_notes(notes)
    return 0


def _rules_show(options: Any) -> int:
    from labq.cli import terminal
    from labq.cli.render import rules as render

    found = common.client(options).rules()
    if options.json:
        terminal.print_json(found)
    elif options.default:
        print(render.default_file(found), end="")
    else:
        print(render.rules_text(found, terminal.width()), end="")
        if found["problem"]:
            terminal.note(f"the file as it is now is not used: {found['problem']['what']}")
        _print_notes(found["notes"])
    return 0


def _rules_diff(options: Any) -> int:
    from labq.cli import terminal
    from labq.cli.render import rules as render

    path, text = _read(options)
    found = common.client(options).compare_rules(text, str(path))
    if options.json:
        terminal.print_json(found)
        return 0
    if found["changes"]:
        print(render.diff_text(found, terminal.width()), end="")
    else:
        print(f"{path} changes nothing: these rules are in force")
    _print_notes(found["notes"])
    return 0


def _read(options: Any) -> tuple[Path, str]:
    """Return the file and its text, which is legal."""
    from pathlib import Path

    from labq.rules.read import USUAL_NAME, load
    from labq.settings import Settings

    settings = Settings()
    if options.file:
        path = Path(options.file)
    elif settings.text("rules_file"):
        path = settings.path("rules_file")
    else:
        path = settings.path("data_dir") / USUAL_NAME
        if not path.exists():
            raise BadInputError(
                f"there is no {path} here, and no FILE was named",
                f"name it: labq admin rules {options.action} rules.toml; "
                "to begin one: labq admin rules show --default > rules.toml",
            )
    return path, load(path).text


def _print_notes(notes: Any) -> None:
    from labq.cli import terminal
    from labq.cli.render.text import clean

    for text in notes:
        terminal.note(f"note: {clean(str(text))}")


def _check(options: Any) -> None:
    _known("topic", options.topic, _TOPICS)
    _known("action", options.action, _ACTIONS)
    if options.action == "show" and options.file:
        raise BadInputError(
            f"labq admin rules show takes no file, not {options.file!r}",
            f"it shows the rules in force; what a file would change: labq admin rules diff {options.file}",
        )
    if options.default and options.action != "show":
        raise BadInputError(
            f"labq admin rules {options.action} takes no --default", "labq admin rules show --default"
        )
    if options.default and options.json:
        raise BadInputError("--default and --json were both given", "--json has the defaults, too")


def _known(what: str, word: str, legal: tuple[str, ...]) -> None:
    if word not in legal:
        from labq.errors import closest

        near = closest(word, list(legal))
        hint = f"did you mean {near}? " if near else ""
        raise BadInputError(f"labq admin has no {what} {word!r}", f"{hint}legal: {', '.join(legal)}")
