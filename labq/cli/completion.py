"""Print a completion script for bash, zsh or fish; it completes commands, flags and your job ids.

bash:  labq completion bash > ~/.local/share/bash-completion/completions/labq
zsh:   labq completion zsh > "${fpath[1]}/_labq"
fish:  labq completion fish > ~/.config/fish/completions/labq.fish
"""

from __future__ import annotations

from labq.cli import parser as common
from labq.errors import BadInputError, closest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument("shell", metavar="SHELL", help="bash, zsh or fish")


def run(options: Any) -> int:
    """Print the script."""
    from labq.cli.render.shells import SHELLS, Verb
    from labq.cli.verbs import VERBS, load

    if options.shell not in SHELLS:
        near = closest(options.shell, list(SHELLS))
        hint = f"did you mean {near}? " if near else ""
        raise BadInputError(f"no completion for {options.shell!r}", f"{hint}legal: {', '.join(SHELLS)}")
    found = []
    for name, text in VERBS.items():
        actions = common.make(name, load(name))._actions
        flags = [
            (a.option_strings, str(a.help or ""))
            for a in actions
            if a.option_strings and a.help != "==SUPPRESS=="
        ]
        words = {a.dest for a in actions if not a.option_strings}
        found.append(
            Verb(
                name,
                text,
                flags,
                takes_job=bool(words & {"id", "ids"}),
                takes_files=bool(words & {"directory", "trace"}),
            )
        )
    print(SHELLS[options.shell](found), end="")
    return 0
