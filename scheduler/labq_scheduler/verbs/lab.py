"""The parts that verbs use, and the site's rules."""

from __future__ import annotations

import os.path
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from labq.errors import BadInputError
from labq.settings import Settings
from labq.spec_values import absolute_path
from labq.store import Store
from labq_scheduler.board import Board
from labq_scheduler.dispatch import Dispatcher
from labq_scheduler.files.contexts import ContextFiles
from labq_scheduler.files.layout import DataDir
from labq_scheduler.forecasts import Forecasts
from labq_scheduler.idle.plan import IdleRules
from labq_scheduler.idle.windows import BUCKET, LONGEST
from labq_scheduler.notify.allowed import Allowed
from labq_scheduler.records.history import History
from labq_scheduler.rules_file import RulesFile
from labq_scheduler.usage.ledger import Ledger

#: Seconds: a data set that loads for a while, or a person at lunch, is no waste.
SHORTEST_RECLAIM = 1200.0
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class AllowedMount:
    """A directory of the nodes that jobs may mount, with all below it."""

    path: str
    writable: bool


@dataclass(frozen=True, slots=True)
class Site:
    """What the site allows."""

    #: seconds; None = no limit
    max_time: float | None = None
    #: seconds, of an interactive job that names none; None = no limit
    interactive_time: float | None = 12 * 3600.0
    #: seconds for which an owner may keep a job that does nothing, in all
    max_keep: float = 86400.0
    mounts: tuple[AllowedMount, ...] = ()
    max_queued: int = 20_000
    #: bytes
    max_context: int = 20 * 2**30
    #: seconds
    keep_jobs: float = 14 * 86400.0
    keep_contexts: float = 7 * 86400.0
    idle: IdleRules = field(default_factory=IdleRules)
    #: address; "" = there is none
    grafana: str = ""
    allowed: Allowed = field(default_factory=Allowed)
    #: Redis as nodes reach it, with its password; "" = no node can join
    redis_url_nodes: str = field(default="", repr=False)
    #: where the wheels for nodes are
    packages: Path = Path("packages")

    @staticmethod
    def from_settings(settings: Settings) -> Site:
        """Return the site that the settings describe.

        Raises:
            BadInputError: naming the variable whose value is not legal.
        """
        return Site(
            max_time=settings.seconds("max_time"),
            interactive_time=settings.seconds("interactive_time"),
            max_keep=_some(settings.seconds("max_keep"), "max_keep"),
            mounts=tuple(_allowed(text) for text in settings.items("mounts")),
            max_queued=settings.number("max_queued_per_user"),
            max_context=_some(settings.bytes("max_context"), "max_context"),
            keep_jobs=_some(settings.seconds("keep_jobs"), "keep_jobs"),
            keep_contexts=_some(settings.seconds("keep_contexts"), "keep_contexts"),
            idle=_idle_rules(settings),
            grafana=settings.text("grafana_url"),
            allowed=Allowed.from_settings(settings),
            redis_url_nodes=settings.text("redis_url_nodes"),
            packages=settings.path("packages_dir")
            if settings.text("packages_dir")
            else settings.path("data_dir") / "packages",
        )


@dataclass(frozen=True, slots=True)
class Lab:
    """Everything that a verb may touch."""

    store: Store
    board: Board
    dispatcher: Dispatcher
    files: DataDir
    contexts: ContextFiles
    history: History
    ledger: Ledger
    site: Site
    rules: RulesFile = field(default_factory=RulesFile)
    #: None = nobody thinks ahead here
    forecasts: Forecasts | None = None


def _idle_rules(settings: Settings) -> IdleRules:
    warn, reclaim = settings.seconds("idle_warn"), settings.seconds("idle_reclaim")
    if reclaim is not None and not SHORTEST_RECLAIM <= reclaim <= LONGEST:
        raise BadInputError(
            f"LABQ_IDLE_RECLAIM={settings.text('idle_reclaim')!r} is not legal",
            "write a time from 20m to 48h, such as 2h; or leave it empty, and nothing is ended",
        )
    if warn is not None and not BUCKET <= warn <= LONGEST:
        raise BadInputError(
            f"LABQ_IDLE_WARN={settings.text('idle_warn')!r} is not legal",
            "write a time from 1m to 48h, such as 30m; or set it empty, and nobody is told",
        )
    return IdleRules(warn, reclaim, frozenset(settings.items("idle_exempt")))


def _allowed(text: str) -> AllowedMount:
    path, _, mode = text.partition(":")
    form = "write directories like /data:ro,/scratch:rw"
    if mode not in {"", "ro", "rw"}:
        raise BadInputError(f"LABQ_MOUNTS {text!r}: {mode!r} is neither ro nor rw", form)
    try:
        return AllowedMount(os.path.normpath(absolute_path(path)), mode == "rw")
    except BadInputError as error:
        raise BadInputError(f"LABQ_MOUNTS {text!r}: {error.what}", form) from None


def _some(value: _Number | None, name: str) -> _Number:
    if value is None:
        raise BadInputError(f"LABQ_{name.upper()} is empty", "give it a value, or leave it out")
    return value
