"""What to do when a task has failed: a table from role, task and message to a sentence. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remedy:
    """A row: where all the expressions are found, the sentence holds. ``{host}``, ``{role}`` and ``{lab}`` are filled in."""

    message: str
    next: str
    role: str = ""
    task: str = ""


#: The first that fits counts; all are looked for without regard to case.
TABLE: tuple[Remedy, ...] = (
    Remedy(
        "REMOTE HOST IDENTIFICATION HAS CHANGED|host key verification failed",
        "if {host} was installed anew: labq node add {host} --new-key; if not, find out who answers at its address",
    ),
    Remedy(
        r"permission denied \(|too many authentication failures",
        "let the lab's key in: ssh-copy-id -i {lab}/ssh/id_ed25519.pub USER@{host}; the user is ansible_user in the inventory",
    ),
    Remedy(
        "could not resolve hostname|name or service not known",
        "mend its address: ansible_host in {lab}/inventory/nodes/{host}.yml or lab.yml",
    ),
    Remedy(
        "connection timed out|no route to host|connection refused|timed out.*ssh|operation timed out",
        "is {host} switched on, does its sshd run, and is its address right (ansible_host in {lab}/inventory)? then: labq provision --limit {host}",
    ),
    Remedy(
        "missing sudo password|sudo: a password is required|incorrect sudo password",
        "let ansible_user become root without a password on {host}, or log in as root",
    ),
    Remedy(
        r"python\S*: (command )?not found|no python interpreters found",
        "install Python there: apt-get install python3",
    ),
    Remedy(
        "attempting to decrypt but no vault secrets|decryption failed|no vault secrets were found",
        "put the vault's password into {lab}/vault-password (mode 0600)",
    ),
    Remedy(
        "", "mend the variable in {lab}/inventory; the message says what is legal", task="arguments against arg spec"
    ),
    Remedy("", "meet the requirement on {host}, then look again: labq doctor --node {host}", role="preflight"),
    Remedy("no space left on device|not enough free space", "make room on {host}: df -h; docker system df"),
    Remedy(
        "could not get lock|unable to acquire the dpkg|is another process using it",
        "another apt runs on {host}; wait until it has ended, then: labq provision --limit {host}",
    ),
    Remedy(
        "dpkg was interrupted", "on {host}: dpkg --configure -a; then: labq provision --limit {host} --tags {role}"
    ),
    Remedy(
        "no package matching|unable to locate package|has no installation candidate",
        "its apt sources do not have the package: look at apt-cache policy on {host} and at the role's repository variables",
    ),
    Remedy(
        "failed to fetch|temporary failure resolving|failed to update apt cache",
        "{host} does not reach its apt mirror: try apt-get update there",
    ),
    Remedy(
        "checksum",
        "the file is not what the server has; try again, and look at what lies between {host} and the server",
    ),
    Remedy(
        "", "reboot {host} when no job needs it (labq drain {host} REASON), or labq provision upgrade_driver --limit {host}",
        role="nvidia", task="reboot|loaded|version",
    ),
    Remedy("", "on {host}: journalctl -u docker -n 50; dockerd --validate", role="docker", task="start|restart|reload"),
    Remedy("", "on {host}: journalctl -u labq-worker -n 50", role="labq_worker", task="start|alive|wait|seen"),
)  # fmt: skip


def remedy(host: str, role: str, task: str, message: str, lab: str) -> str:
    """Return what to do about a failure.

    Args:
        host: where it failed.
        role: of the task; "" = none.
        task: its name.
        message: what the task said.
        lab: path of the lab directory.
    """
    for row in TABLE:
        said = ((row.message, message), (row.role, role), (row.task, task))
        if all(re.search(form, text, re.IGNORECASE | re.DOTALL) for form, text in said):
            return row.next.format(host=host, role=role or "all", lab=lab)
    tags = f" --tags {role}" if role else ""
    return f"mend that, then run this part again: labq provision --limit {host}{tags}"
