"""Admin: begin an inventory of the lab's machines, on the control machine.

labq inventory init                                  asks, and writes to /etc/labq/lab
labq inventory init DIR --hosts gpu01=10.0.0.11 gpu02=10.0.0.12
labq inventory init DIR --hosts FILE                 lines `gpu01 10.0.0.11`

Written are inventory/lab.yml (commented, yours), a file for each node, and an ssh key with which they are reached.
Nothing that is there is overwritten. More nodes later: labq node add NAME.
"""

from __future__ import annotations

import os

from labq.cli import parser as common
from labq.errors import BadInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from labq.inventory import Answers


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument("action", metavar="ACTION", help="init")
    parser.add_argument("directory", metavar="DIR", nargs="?", help="else LABQ_LAB_DIR, else /etc/labq/lab")
    parser.add_argument(
        "--hosts",
        metavar="HOST",
        nargs="+",
        help="nodes: NAME, NAME=ADDRESS, NAME=ADDRESS:PORT, or a file with such lines",
    )
    parser.add_argument(
        "--control", metavar="NAME", help="name of this machine in the inventory (its host name)"
    )
    parser.add_argument("--url", metavar="URL", help="where nodes and people reach the server")
    parser.add_argument("--user", metavar="USER", help="to log in as on the nodes (root)")
    parser.add_argument(
        "--admin", metavar="NAME:UID:GID", help="the first admin (you); or an account of this machine"
    )


def run(options: Any) -> int:
    """Write it."""
    if options.action != "init":
        raise BadInputError(f"labq inventory has no action {options.action[:100]!r}", "legal: init")
    from labq.inventory import lab_text, node_text
    from labq.settings import Settings

    lab = Settings({"lab_dir": options.directory}).path("lab_dir")
    target = lab / "inventory" / "lab.yml"
    if target.exists():
        raise BadInputError(f"{target} exists", "edit it; labq node add NAME adds a node")
    answers = _answers(options)
    files = {target: lab_text(answers)}
    files |= {lab / "inventory" / "nodes" / f"{node.name}.yml": node_text(node) for node in answers.nodes}
    there = [str(path) for path in files if path.exists()]
    if there:
        raise BadInputError(f"{there[0]} exists", "name another directory, or leave that node out")
    for path, text in files.items():
        _write(lab, path, text)
        print(f"wrote {path}")
    key = _make_key(lab)
    _next(lab, key, answers)
    return 0


def _answers(options: Any) -> Answers:
    import socket
    import sys

    from labq.cli import terminal
    from labq.inventory import Answers, read_hosts

    asks = options.hosts is None and terminal.is_terminal(sys.stdin) and terminal.is_terminal(sys.stdout)
    if options.hosts is None and not asks:
        raise BadInputError(
            "no node is named, and there is no terminal to ask on",
            "labq inventory init --hosts gpu01=10.0.0.11 …",
        )
    name = options.control or socket.gethostname().partition(".")[0]
    control = options.control or (
        _ask("name of this machine, which becomes the control machine", name) if asks else name
    )
    url = options.url or _url(asks=asks)
    user = options.user or (_ask("to log in to the nodes as", "root") if asks else "root")
    admin = _admin(options.admin, asks=asks)
    words = _words(options.hosts) if options.hosts is not None else _ask_hosts()
    return Answers(control, url, user, admin, read_hosts(words))


def _url(*, asks: bool) -> str:
    from labq.cli import terminal
    from labq.cli.own_addresses import own_addresses, usual_address

    address = usual_address()
    usual, found = f"http://{address}:7580", own_addresses()
    if len({each for _, each in found}) > 1:
        listed = ", ".join(f"{each} ({name})" for name, each in found)
        terminal.note(
            f"this machine has several addresses: {listed}; choose the one that nodes and people reach"
        )
        if not asks:
            terminal.note(
                f"{usual} is written, since {address} is the one it goes out with; another: --url URL"
            )
    return _ask("where nodes and people reach the server", usual) if asks else usual


def _admin(said: str | None, *, asks: bool) -> tuple[str, int, int] | None:
    """Return the first admin: as said, as asked, else whoever types this; root is none, as its containers would be."""
    if said:
        return _person(said)
    uid, gid = int(os.environ.get("SUDO_UID", os.getuid())), int(os.environ.get("SUDO_GID", os.getgid()))
    usual = f"{os.environ.get('SUDO_USER') or _me()}:{uid}:{gid}" if uid else ""
    while asks:
        answer = _ask(
            "the first admin, an account here or NAME:UID:GID; none: nobody gets a token", usual or "none"
        )
        try:
            return None if answer == "none" else _person(answer)
        except BadInputError as error:
            print(f"{error.what}; {error.next}")
    return _person(usual) if usual else None


def _person(text: str) -> tuple[str, int, int]:
    import pwd

    name, *numbers = text.split(":")
    if name and not numbers:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            raise BadInputError(
                f"there is no account {name[:100]!r} on this machine",
                "write NAME:UID:GID, such as hana:1000:1000",
            ) from None
        numbers = [str(account.pw_uid), str(account.pw_gid)]
    legal = name and len(numbers) == 2 and all(part.isascii() and part.isdigit() for part in numbers)
    if not legal or not int(numbers[0]):
        raise BadInputError(
            f"admin {text[:100]!r} is not legal",
            "write NAME:UID:GID, such as hana:1000:1000; root (0) submits no jobs",
        )
    return name, int(numbers[0]), int(numbers[1])


def _me() -> str:
    import getpass

    return getpass.getuser()


def _ask(what: str, usual: str) -> str:
    try:
        return input(f"{what} [{usual}]: ").strip() or usual
    except EOFError:
        return usual


def _ask_hosts() -> list[str]:
    print("the nodes, one a line: NAME, or NAME ADDRESS; an empty line ends")
    found: list[str] = []
    try:
        while line := input("  node: ").split():
            found.append("=".join(line[:2]))
    except EOFError:
        print()
    return found


def _words(hosts: list[str]) -> list[str]:
    from pathlib import Path

    from labq.inventory import host_lines

    found: list[str] = []
    for word in hosts:
        path = Path(word)
        found += host_lines(path.read_text()) if path.is_file() else [word]
    return found


def _write(lab: Path, path: Path, text: str) -> None:
    for directory in [lab, *(p for p in reversed(path.parents) if p.is_relative_to(lab) and p != lab)]:
        if not directory.exists():
            directory.mkdir(parents=True, mode=0o700)
    lab.chmod(0o700)  # it will hold the keys to all machines
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _make_key(lab: Path) -> Path | None:
    """Make the lab's ssh key unless there is one; return its public part, None when there is no ssh-keygen."""
    import subprocess
    from shutil import which

    key = lab / "ssh" / "id_ed25519"
    if not key.exists():
        if which("ssh-keygen") is None:
            return None
        key.parent.mkdir(mode=0o700, exist_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "labq", "-f", str(key)], check=True, stdin=subprocess.DEVNULL
        )  # fmt: skip
        print(f"made {key}")
    return key.with_name("id_ed25519.pub")


def _next(lab: Path, key: Path | None, answers: Answers) -> None:
    print("next:")
    if key is None:
        print(f"  apt-get install openssh-client; ssh-keygen -t ed25519 -f {lab}/ssh/id_ed25519")
    for node in answers.nodes:
        port = f"-p {node.port} " if node.port else ""
        print(f"  ssh-copy-id {port}-i {lab}/ssh/id_ed25519.pub {answers.user}@{node.address or node.name}")
    if answers.admin is None:
        print(
            f"  say who the first admin is: control_admin in {lab}/inventory/lab.yml; without one nobody gets a token"
        )
    print("  labq provision control --here      the control machine: queue, server, dashboards")
    print("  labq provision gpu_nodes --here    the nodes; later from anywhere: labq provision")
