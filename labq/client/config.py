"""Which server and which token: flag, environment, configuration file, default; the rules of labq.settings.

``labq.settings`` reads any TOML but costs 15 ms to import. The file that labq writes itself has lines
``key = "value"`` only; those are read here, and anything else is left to ``labq.settings``.
"""

from __future__ import annotations

import os

#: The default of labq.settings (a test holds them equal).
DEFAULT_SERVER = "http://127.0.0.1:7580"
_MINE = ("server", "token")


def config_file() -> str:
    """Return the path of the configuration file, as ``labq.settings.config_path`` does."""
    named = os.environ.get("LABQ_CONFIG")
    if named:
        return os.path.abspath(os.path.expanduser(named))
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(base, "labq", "config.toml")


def server_and_token(server: str | None, token: str | None) -> tuple[str, str]:
    """Return the address and the token in force.

    Args:
        server: given by a flag or by the caller; None = not given.
        token: likewise.
    """
    found = {"server": server, "token": token}
    for name in _MINE:
        if found[name] is None:
            found[name] = os.environ.get("LABQ_" + name.upper())
    if None in found.values():
        said = _read(config_file())
        for name in _MINE:
            if found[name] is None:
                found[name] = said.get(name)
    return found["server"] or DEFAULT_SERVER, found["token"] or ""


def _read(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8") as file:
            simple = parse_simple(file.read())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        simple = None
    if simple is not None:
        return simple
    from pathlib import Path

    from labq.settings import read_config

    return read_config(Path(path))


def parse_simple(text: str) -> dict[str, str] | None:
    """Return server and token of a file that holds nothing else; None when it is not that simple."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, _, value = (part.strip() for part in stripped.partition("="))
        plain = len(value) >= 2 and value[0] == value[-1] == '"' and '"' not in value[1:-1]
        if key not in _MINE or key in found or not plain or "\\" in value:
            return None
        found[key] = value[1:-1]
    return found
