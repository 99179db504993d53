"""From flags and labq.toml to what the API is asked for. Pure, but for the secrets' values (``secret_values``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labq.cli.flags import FLAGS
from labq.errors import BadInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KINDS = dict(FLAGS.values())
_LONGEST_NAME = 63


def spec_of(
    flags: Mapping[str, Any],
    file: Mapping[str, Any],
    command: Sequence[str] | None,
    *,
    environ: Mapping[str, str],
    now: float,
    default_name: str | None,
) -> dict[str, Any]:
    """Return the wire form of a spec.

    Args:
        flags: raw values of the flags that were given, by key.
        file: what labq.toml says; flags win, variables and build arguments are merged.
        command: the words behind ``--``; None = none were given.
        environ: for ``--env NAME``.
        now: seconds since the epoch, for ``--not-before 2h``.
        default_name: the job's name when nobody says one; None = leave it out.

    Raises:
        BadInputError: quoting what is wrong.
    """
    spec = {key: value for key, value in file.items() if key != "array"}
    for key, raw in flags.items():
        value = _value(key, raw, environ, now)
        if isinstance(value, dict):
            value = {**_as_map(spec.get(key)), **value}
        elif key == "secrets":
            value = [*dict.fromkeys([*_as_list(spec.get(key)), *value])]
        spec[key] = value
    if command is not None:
        if not command:
            raise BadInputError("there is nothing behind `--`", "write a command there, or leave `--` out")
        spec["command"] = list(command)
    if default_name is not None:
        spec.setdefault("name", default_name)
    return spec


def _value(key: str, raw: Any, environ: Mapping[str, str], now: float) -> Any:
    match _KINDS[key]:
        case "env":
            return _variables(raw, environ)
        case "map":
            return dict(_pair(item, f"--{key.replace('_', '-').removesuffix('s')}") for item in raw)
        case "secret":
            return [item.partition("=")[0] for item in raw]
        case "commas":
            return [part.strip() for item in raw for part in item.split(",") if part.strip()]
        case "moment":
            return _moment(raw, now)
        case _:
            return raw


def _variables(raw: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in raw:
        name, equals, value = item.partition("=")
        if not equals:
            if name not in environ:
                raise BadInputError(
                    f"--env {name}: your environment has no variable {name!r}",
                    f"write --env {name}=VALUE, or export it",
                )
            value = environ[name]
        found[name] = value
    return found


def _pair(item: str, flag: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not equals:
        raise BadInputError(f"{flag} {item!r} has no value", f"write {flag} NAME=VALUE")
    return name, value


def _moment(raw: str, now: float) -> str:
    from labq.clock import rfc3339
    from labq.units import parse_duration

    text = raw.strip().removeprefix("+")
    if raw.strip().startswith("+") or (text[-1:].isalpha() and text[-1:] not in "Zz" and "T" not in text):
        return rfc3339(now + parse_duration(text, "--not-before"))
    return raw


def _as_map(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    return dict(_pair(str(item), "labq.toml") for item in _as_list(value))


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def secret_values(names: Sequence[str], flags: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the values of secrets: from ``--secret NAME=FILE``, else from the environment.

    Raises:
        BadInputError: a value is nowhere to be found; never quotes a value.
    """
    files = {name: path for name, equals, path in (item.partition("=") for item in flags) if equals}
    found: dict[str, str] = {}
    for name in names:
        if name in files:
            found[name] = _read_secret(name, files[name])
        elif name in environ:
            found[name] = environ[name]
        else:
            raise BadInputError(
                f"secret {name!r}: your environment has no such variable",
                f"export {name}, or write --secret {name}=FILE; the value never stands on the command line",
            )
    return found


def _read_secret(name: str, path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().removesuffix("\n")
    except OSError as error:
        what = f"secret {name!r}: its file cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        what = f"secret {name!r}: its file is not UTF-8 text"
    # The path is not quoted: somebody may have written the value itself there.
    raise BadInputError(what, f"write --secret {name}=FILE with a readable text file, or export {name}")


def legal_name(text: str) -> str:
    """Return a legal name of a job that resembles ``text``.

    >>> legal_name("my exp/№3"), legal_name(".hidden"), legal_name("実験"), legal_name("--")
    ('my exp-№3', 'hidden', '実験', 'job')
    """
    safe = "".join(c if c.isalnum() or c in "_ .+-" else "-" for c in text)
    start = next((i for i, c in enumerate(safe) if c.isalnum() or c == "_"), len(safe))
    return safe[start:][:_LONGEST_NAME].rstrip() or "job"


def image_name(reference: str) -> str:
    """Return the name part of an image reference.

    >>> image_name("host:5000/lab/busybox:1.36@sha256:00"), image_name("alpine")
    ('busybox', 'alpine')
    """
    return reference.partition("@")[0].rsplit("/", 1)[-1].partition(":")[0]
