"""One process: the API in the main thread; board, loop, recorder and janitor in threads of their own."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType

from labq.clock import monotonic
from labq.errors import UnavailableError
from labq.node import Gpu
from labq.program import named_redis
from labq.sdnotify import Supervised, under_systemd
from labq.settings import Settings
from labq.store import Store
from labq_scheduler.board import Board
from labq_scheduler.dispatch import Dispatcher
from labq_scheduler.files.contexts import ContextFiles
from labq_scheduler.files.layout import DataDir
from labq_scheduler.forecasts import Forecasts
from labq_scheduler.loop import Loop
from labq_scheduler.policy.rules_of import card_weight
from labq_scheduler.records.history import History
from labq_scheduler.rules_file import RulesFile
from labq_scheduler.usage.follower import UsageFollower
from labq_scheduler.usage.held import cards_of
from labq_scheduler.usage.lately import Lately
from labq_scheduler.usage.ledger import Ledger
from labq_scheduler.verbs.lab import Lab, Site

log = logging.getLogger(__name__)
#: What runs in this process.
PARTS = ("api", "loop")
#: Seconds that open requests have to end when the server stops.
GRACE = 1
#: Seconds after which a turn of the deciding loop hangs: it asks Redis many things, and waits 15 s for one answer, tried
#: four times, before it gives the turn up.
HANGS = 300.0


def make_lab(settings: Settings) -> Lab:
    """Return the parts that the settings describe; only directories are made, nothing is started.

    Raises:
        BadInputError: a setting is missing or not legal.
    """
    url = named_redis(settings)
    site, files, store = Site.from_settings(settings), DataDir(settings.path("data_dir")), Store(url)
    files.make()
    history = History(settings.text("records_url"), files.root)
    rules = RulesFile.from_settings(settings)
    board = Board(store, history.states, rules, history.past_runs)
    ledger = Ledger(board, history, lambda: rules().half_life, lambda model: card_weight(rules(), model))
    board.usage = Lately(ledger.charged)
    return Lab(
        store=store,
        board=board,
        dispatcher=Dispatcher(url),
        files=files,
        contexts=ContextFiles(files, site.max_context),
        history=history,
        ledger=ledger,
        site=site,
        rules=rules,
        forecasts=Forecasts(board.snapshot, rules),
    )


class Stopper:
    """SIGTERM and SIGINT as an event, with something to call at once."""

    def __init__(self, supervised: Supervised) -> None:
        """Take the signals; systemd is told when one came."""
        self.event = threading.Event()
        self._supervised = supervised
        self.on_stop: Callable[[], None] = lambda: None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.event.set()
        self.on_stop()
        self._supervised.stopping()


def serve(settings: Settings, only: str | None = None) -> None:
    """Run until SIGTERM or SIGINT.

    Args:
        settings: of the server.
        only: one of ``PARTS``; None = all.

    Raises:
        BadInputError: a setting is not legal, or the address is taken.
    """
    port, host = settings.number("port"), settings.text("host")
    grace = settings.seconds("node_grace") or 120.0
    supervised = under_systemd()
    lab = make_lab(settings)
    stopper = Stopper(supervised)
    # Not when Redis answers: whoever starts the unit does not wait for that.
    supervised.ready("waits for Redis")
    if not wait_for_redis(lab.store, stopper.event):
        return
    lab.store.jobs.set_keep(lab.site.keep_jobs)
    loop = (
        None if only == "api" else Loop(lab.store, lab.board, lab.dispatcher, lab.rules, grace, lab.site.idle)
    )
    running: list[Callable[[], None]] = []
    if only != "loop":
        running += _start_helpers(lab, settings)
    follower = UsageFollower(lab.store, lab.ledger, None if only == "loop" else lab.history)
    follower.start()
    running.append(follower.stop)
    supervised.does(lambda: _doing(lab))
    if loop is not None:
        loop.on_turn = supervised.loop("decide", HANGS).beat
        loop.start()
        running.append(loop.stop)
    lab.board.start()
    running.append(lab.board.stop)
    try:
        if only == "loop":
            log.info("deciding; data in %s", lab.files.root)
            stopper.event.wait()
        else:
            from labq_scheduler.web import run_web

            run_web(lab, host, port, stopper, loop, settings.text("metrics_token"), supervised)
    finally:
        _stop_all(running)
        lab.history.close()
        log.info("stopped")


def wait_for_redis(store: Store, stop: threading.Event) -> bool:
    """Return True when Redis answers, False when we are to stop before that."""
    pause, began = 0.1, monotonic()
    while not stop.is_set():
        try:
            store.connection.ping()
        except UnavailableError as error:
            log.warning("waiting for Redis since %.0f s: %s", monotonic() - began, error.what)
            stop.wait(pause)
            pause = min(5.0, pause * 2)
        else:
            return True
    return False


def _doing(lab: Lab) -> str:
    counts = lab.board.counts() if lab.board.loaded else {}
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "serves; no jobs"


def _start_helpers(lab: Lab, settings: Settings) -> list[Callable[[], None]]:
    from labq_scheduler.janitor import Janitor
    from labq_scheduler.node_users import NodeUserKeeper
    from labq_scheduler.records.recorder import Recorder

    def cards() -> dict[str, Gpu]:
        return cards_of(node for node, _ in lab.board.nodes())

    recorder, janitor, users = (
        Recorder(lab.store, lab.history, cards),
        Janitor(lab),
        NodeUserKeeper(lab.store),
    )
    lab.board.subscribe(recorder.wake)
    recorder.start()
    janitor.start()
    users.start()
    stops = [recorder.stop, janitor.stop, users.stop]
    if lab.forecasts is not None:
        lab.forecasts.start()
        stops.append(lab.forecasts.stop)
    if settings.text("targets_dir"):
        from labq_scheduler.targets import Targets

        targets = Targets(
            settings.path("targets_dir"),
            settings.number("exporter_port"),
            lambda: [node for node, _ in lab.board.nodes()],
        )
        lab.board.subscribe(targets.notice)
        targets.start()
        stops.append(targets.stop)
    return stops


def _stop_all(stops: list[Callable[[], None]]) -> None:
    """Stop all threads at the same time: each may be in a wait of a second."""
    threads = [threading.Thread(target=stop, daemon=True) for stop in stops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=1.5)
