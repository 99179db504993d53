"""Completion scripts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_IDS = "labq ls --ids 2>/dev/null"


class Verb:
    """What a script needs to know of a verb.

    Attributes:
        name: the verb.
        help: one line.
        flags: (spellings, help) of each flag.
        takes_job: its words are job ids.
        takes_files: its words are paths.
    """

    __slots__ = ("flags", "help", "name", "takes_files", "takes_job")

    def __init__(
        self,
        name: str,
        help: str,  # noqa: A002
        flags: Sequence[tuple[Sequence[str], str]],
        *,
        takes_job: bool,
        takes_files: bool,
    ) -> None:
        self.name = name
        self.help = help
        self.flags = flags
        self.takes_job = takes_job
        self.takes_files = takes_files


def bash(verbs: Sequence[Verb]) -> str:
    """Return the script for bash."""
    cases = []
    for verb in verbs:
        flags = " ".join(text for spellings, _ in verb.flags for text in spellings)
        words = f"$({_IDS})" if verb.takes_job else ""
        cases.append(f'    {verb.name}) flags="{flags}"; words="{words}" ;;')
    names = " ".join(verb.name for verb in verbs)
    return f"""# bash completion of labq; made by `labq completion bash`
_labq() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} flags="" words=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{names}" -- "$current"))
    return
  fi
  case ${{COMP_WORDS[1]}} in
{chr(10).join(cases)}
  esac
  case $current in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$current")) ;;
    *) [ -z "$words" ] || COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
  esac
}}
complete -o default -F _labq labq
"""


def zsh(verbs: Sequence[Verb]) -> str:
    """Return the script for zsh."""
    names = "\n".join(f"    {_single(f'{verb.name}:{verb.help}')}" for verb in verbs)
    cases = []
    for verb in verbs:
        flags = "\n".join(
            f"        {_single(f'{_colon(text)}:{_colon(help_text)}')}"
            for spellings, help_text in verb.flags
            for text in spellings
        )
        words = f"        compadd -- $({_IDS})" if verb.takes_job else "        _files"
        cases.append(
            f"    {verb.name})\n      flags=(\n{flags}\n      )\n      _labq_words() {{\n{words}\n      }} ;;"
        )
    return f"""#compdef labq
# zsh completion of labq; made by `labq completion zsh`
_labq() {{
  local -a verbs flags
  verbs=(
{names}
  )
  if (( CURRENT == 2 )); then
    _describe 'command' verbs
    return
  fi
  case ${{words[2]}} in
{chr(10).join(cases)}
    *) return ;;
  esac
  if [[ $PREFIX == -* ]]; then
    _describe 'flag' flags
  else
    _labq_words
  fi
}}
compdef _labq labq
"""


def fish(verbs: Sequence[Verb]) -> str:
    """Return the script for fish."""
    names = " ".join(verb.name for verb in verbs)
    lines = ["# fish completion of labq; made by `labq completion fish`"]
    for verb in verbs:
        lines.append(
            f"complete -c labq -f -n 'not __fish_seen_subcommand_from {names}' -a {verb.name} -d {_fish(verb.help)}"
        )
        seen = f"-n '__fish_seen_subcommand_from {verb.name}'"
        if verb.takes_job:
            lines.append(f"complete -c labq -f {seen} -a '({_IDS})'")
        elif verb.takes_files:
            lines.append(f"complete -c labq -F {seen}")
        for spellings, help_text in verb.flags:
            named = " ".join(f"-l {t[2:]}" if t.startswith("--") else f"-s {t[1:]}" for t in spellings)
            lines.append(f"complete -c labq {seen} {named} -d {_fish(help_text)}")
    return "\n".join(lines) + "\n"


def _colon(text: str) -> str:
    return text.replace("%%", "%").replace(":", "\\:")


def _single(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish(text: str) -> str:
    return "'" + text.replace("%%", "%").replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: dict[str, Callable[[Sequence[Verb]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
