"""Who uses the lab of `labq up`: the person who started it, the agent, their tokens, the client's configuration."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from labq.lab.plan import Plan
from labq.settings import config_path, read_config, write_config
from labq.store import Person, Store

_MARK = "# written by `labq up`; data directory: "


def invoker(env: Mapping[str, str], uid: int, gid: int) -> Person:
    """Return the person who typed the command: behind ``sudo``, whoever called it.

    Args:
        env: the environment.
        uid: user id of this process.
        gid: group id of this process.
    """
    if uid == 0 and env.get("SUDO_UID", "").isdigit() and env.get("SUDO_GID", "").isdigit():
        uid, gid = int(env["SUDO_UID"]), int(env["SUDO_GID"])
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"u{uid}"
    return Person(name, uid=uid, gid=gid, admin=True)


def admit(store: Store, plan: Plan, person: Person) -> tuple[str, str]:
    """Make the person and the agent known and return their tokens, which are kept in the data directory."""
    agent = Person(f"agent-{plan.node}", agent=True)
    tokens = []
    for who, name in ((person, "token"), (agent, "node-token")):
        store.people.put(who)
        token = _kept(plan.data_dir / name)
        known = store.people.whose(token) if token else None
        if known is None or known.name != who.name:
            token = store.people.new_token(who.name)
            _keep(plan.data_dir / name, token, person)
        tokens.append(token)
    return tokens[0], tokens[1]


def _kept(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _keep(path: Path, token: str, person: Person) -> None:
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    _give(new, person)
    new.replace(path)


def configure(
    plan: Plan, person: Person, token: str, env: Mapping[str, str], known: Callable[[str], bool]
) -> list[str]:
    """Let the person's client find this lab; return lines that say how, when it cannot by itself.

    The configuration file is written when there is none or when it is this lab's; another is left alone.

    Args:
        plan: what runs.
        person: whose client it is.
        token: theirs.
        env: the environment.
        known: whether this lab knows a token: the file may name an earlier lab at the same address.
    """
    values = {"server": plan.server, "token": token}
    own = plan.data_dir / "config.toml"
    _write(own, values, plan, person)
    path = config_path(_home_of(person, env))
    if not path.exists() or _is_ours(path, plan, token):
        kept = read_config(path) if path.exists() else {}
        _write(path, {**kept, **values}, plan, person)
    elif not _leads_here(read_config(path), plan, known):
        return [
            f"your configuration {path} names another lab, or one that was here before; to use this one in a shell:",
            f"  export LABQ_CONFIG={own}",
        ]
    if env.get("LABQ_SERVER", plan.server) != plan.server or env.get("LABQ_TOKEN", token) != token:
        return [
            "LABQ_SERVER or LABQ_TOKEN in your shell name another lab; to use this one: unset LABQ_SERVER LABQ_TOKEN"
        ]
    return []


def _leads_here(config: Mapping[str, Any], plan: Plan, known: Callable[[str], bool]) -> bool:
    return config.get("server") == plan.server and known(str(config.get("token", "")))


def _home_of(person: Person, env: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment by which the person's own client finds its configuration."""
    if "SUDO_UID" not in env or person.uid == os.getuid():
        return env
    try:
        home = pwd.getpwuid(person.uid).pw_dir
    except KeyError:
        return env
    return {"HOME": home, **{key: env[key] for key in ("LABQ_CONFIG",) if key in env}}


def _is_ours(path: Path, plan: Plan, token: str) -> bool:
    try:
        text = path.read_text()
    except OSError:
        return False
    return text.startswith(f"{_MARK}{plan.data_dir}\n") or f'"{token}"' in text


def _write(path: Path, values: Mapping[str, str], plan: Plan, person: Person) -> None:
    made = [folder for folder in path.parents if not folder.exists()]
    new = path.with_name(path.name + ".new")
    write_config(new, values)
    text = new.read_text()
    new.write_text(f"{_MARK}{plan.data_dir}\n{text}")
    for place in (new, *made):
        _give(place, person)
    new.replace(path)


def _give(path: Path, person: Person) -> None:
    """Behind sudo, what is the person's belongs to the person."""
    if os.getuid() == 0 and person.uid != 0:
        os.chown(path, person.uid, person.gid)
