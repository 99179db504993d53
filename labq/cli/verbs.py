"""Every verb with one line of help, in the order in which `labq --help` shows them. Verb and module have one name."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

VERBS = {
    "submit": "queue a job: a directory with a Dockerfile, or an image",
    "ls": "list jobs",
    "show": "everything about one job",
    "logs": "what a job has written",
    "wait": "wait until jobs have ended",
    "why": "why a job waits, in one sentence",
    "cancel": "stop jobs",
    "keep": "do not end a job whose GPUs do nothing for now",
    "fetch": "get the files that a job left in /outputs",
    "note": "write a note to a job",
    "rerun": "queue the same job again, with changes if you like",
    "nodes": "the machines, and what is free on them",
    "top": "each GPU: who uses it, for what, since when",
    "usage": "GPU-hours by person, group or node: allocated, busy, outside the queue",
    "simulate": "what other machines or rules would do: replay jobs",
    "notify": "what you are told of your jobs: by Slack, mail or webhook",
    "doctor": "check client, server and engine, and say what to do",
    "drain": "admin: place no more jobs on a node",
    "resume": "admin: place jobs on a node again",
    "node": "admin: make a machine a node of this lab, or take one out",
    "provision": "admin: make the machines what the inventory says",
    "inventory": "admin: begin an inventory of the lab's machines",
    "user": "admin: people and their tokens",
    "admin": "the lab's rules: check a file, show those in force, what a file would change",
    "up": "start labq on this machine",
    "down": "stop labq on this machine; jobs run on",
    "config": "the settings in force",
    "completion": "completion of commands for bash, zsh or fish",
    "version": "the version",
}
#: What people type who come from elsewhere.
MEANT = {
    "stop": "cancel", "kill": "cancel", "status": "show", "info": "show", "queue": "ls", "list": "ls", "ps": "ls",
    "download": "fetch", "get": "fetch", "run": "submit",
}  # fmt: skip
_GROUPS = (
    ("jobs", "submit ls show logs wait why cancel keep fetch note rerun"),
    ("machines", "nodes top usage simulate notify doctor drain resume node provision inventory user admin"),
    ("this machine", "up down config completion version"),
)


def load(verb: str) -> ModuleType:
    """Return the module of a verb: it has ``declare(parser)`` and ``run(options)``."""
    from importlib import import_module

    return import_module(f"labq.cli.{verb}")


def overview() -> str:
    """Return the help of `labq` alone."""
    lines = ["labq: one queue for a lab's GPU machines", "", "usage: labq COMMAND …", ""]
    for title, names in _GROUPS:
        lines.append(f"{title}:")
        lines += [f"  {name:<11} {VERBS[name]}" for name in names.split()]
    lines += [
        "",
        "first steps: labq up; labq submit DIR --gpus 1 --follow; labq ls; labq fetch ID",
        "more: labq COMMAND --help",
    ]
    return "\n".join(lines) + "\n"
