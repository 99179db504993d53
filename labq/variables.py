"""Files of variables (``/etc/labq/worker.env``): reading them as systemd does, and finding what is wrong in them."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from labq.errors import BadInputError, closest
from labq.settings import OBSOLETE, SETTINGS, Setting, Settings
from labq.units import parse_bytes, parse_duration

#: Names of ours that are no settings: LABQ_CONFIG names the file of settings.
_OTHERS = ("LABQ_CONFIG",)
_ESCAPED = re.compile(r"\\(.)")
_ESCAPED_IN_QUOTES = re.compile(r"""\\(["\\$`])""")
#: A quote within, or a backslash before the one at the end.
_OPEN = re.compile(r"""^(?:[^"\\]|\\.)*(?:"|\\\Z)""")


def read_files(names: Sequence[str]) -> dict[str, str]:
    """Return the variables of files, the later ones before the earlier; ``-`` is standard input.

    Raises:
        BadInputError: one cannot be read, or a line of it is wrong.
    """
    found: dict[str, str] = {}
    for name in names:
        found |= _read(name)
    return found


def _read(name: str) -> dict[str, str]:
    if name == "-":
        return read_variables(sys.stdin.read(), "standard input")
    try:
        return read_variables(Path(name).read_text(), name)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise BadInputError(f"{name}: {why}", "name a file of variables, such as worker.env") from None


def read_variables(text: str, where: str) -> dict[str, str]:
    """Return the variables of a file for systemd's ``EnvironmentFile=``.

    Args:
        text: what it says: ``NAME=value`` lines, comments after # or ; at the beginning of a line.
        where: its path, for messages.

    Raises:
        BadInputError: a line is none of these, or one of its quotes does not end.
    """
    found = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        name, mark, value = line.partition("=")
        name = name.rstrip()
        if not mark or not name.isidentifier():
            raise BadInputError(f"{where}, line {number}: it is not NAME=value", "write LABQ_NODE=gpu05")
        found[name] = _unquoted(value.strip(), f"{where}, line {number}: {name}")
    return found


def _unquoted(value: str, where: str) -> str:
    quote = value[:1]
    if quote not in {'"', "'"}:
        return _ESCAPED.sub(r"\1", value)
    if len(value) < 2 or value[-1] != quote or (quote == '"' and _OPEN.search(value[1:-1])):
        raise BadInputError(f"{where}: a quote has no end", 'write NAME="value", or leave both quotes out')
    # systemd takes backslashes away within double quotes before these four only.
    return value[1:-1] if quote == "'" else _ESCAPED_IN_QUOTES.sub(r"\1", value[1:-1])


def check_variables(env: Mapping[str, str], reader: str, program: str) -> None:
    """Do nothing when every variable of ours is one that the program reads, and its value has the form of its kind.

    Args:
        env: variables; those that do not begin with LABQ_ are nobody's business here.
        reader: the program's word in ``Setting.used_by``.
        program: its name, for messages.

    Raises:
        BadInputError: naming the variable, the nearest legal one, or the legal form.
    """
    legal = [*_OTHERS]
    for row in SETTINGS:
        if reader in row.used_by:
            legal += [row.env, *([row.env_file] if row.env_file else [])]
    settings = Settings(env=dict(env))
    for name in sorted(env):
        if name.startswith("LABQ_") and name not in legal:
            raise _unknown(name, legal, program)
    for row in SETTINGS:
        if row.env in env:
            _check_value(row, settings)


def _unknown(name: str, legal: list[str], program: str) -> BadInputError:
    if (gone := OBSOLETE.get(name.removeprefix("LABQ_").lower())) is not None:
        return BadInputError(f"{name} is gone", gone)
    owner = next((row for row in SETTINGS if name in {row.env, row.env_file}), None)
    if owner is not None:
        readers = " and ".join(owner.used_by)
        return BadInputError(f"{name} is read by {readers}, not by {program}", "leave it out of this file")
    near = closest(name, legal)
    hint = f"did you mean {near}? " if near else ""
    return BadInputError(f"{name} is no setting of {program}", f"{hint}legal: {', '.join(sorted(legal))}")


def _check_value(row: Setting, settings: Settings) -> None:
    raw = settings.text(row.name)
    match row.kind:
        case "int":
            settings.number(row.name)
        case "switch" if raw not in {"0", "1"}:
            raise BadInputError(f"{row.env}={raw!r} is neither 1 nor 0", row.help)
        case "seconds" if raw:
            parse_duration(raw, row.env)
        case "bytes" if raw:
            parse_bytes(raw, row.env)
