"""The notifier: a follower, a worker of the queue ``control`` in the main thread, and Socket Mode if it is set up."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable

from labq.clock import monotonic
from labq.errors import BadInputError, UnavailableError
from labq.program import named_redis
from labq.sdnotify import under_systemd
from labq.settings import Settings
from labq.store import Store
from labq.store.messages import TakeWork
from labq.wire import CONTROL_QUEUE, DELIVER
from labq_scheduler.dispatch import Dispatcher
from labq_scheduler.files.layout import DataDir
from labq_scheduler.notify.allowed import Allowed
from labq_scheduler.notify.channels import Sender
from labq_scheduler.notify.deliver import Deliverer
from labq_scheduler.notify.follower import Follower
from labq_scheduler.notify.message import Places
from labq_scheduler.notify.tail import last_lines
from labq_scheduler.notify.webhook import Webhook
from labq_scheduler.targets import address_of

log = logging.getLogger(__name__)
#: Seconds after which taking messages hangs: one is waited for 60 s (store/messages.py), tried four times.
HANGS = 600.0


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. In the main thread.

    Raises:
        BadInputError: a setting is missing or not legal.
    """
    url = named_redis(settings)
    store, allowed = Store(url), Allowed.from_settings(settings)
    senders = make_senders(settings, allowed, lambda: list(map(address_of, store.nodes.all())))
    files, token = DataDir(settings.path("data_dir")), secrets.token_hex(8)
    give_up = settings.seconds("notify_give_up") or 86_400.0
    deliverer = Deliverer(
        store, token, senders, allowed, Places(settings.text("grafana_url")),
        lambda job, attempt: last_lines(files, job, attempt), give_up,
    )  # fmt: skip
    follower = Follower(store, token, list(senders), Dispatcher(url).deliver)
    stopped = threading.Event()
    handlers = {DELIVER: (deliverer.hand_over, (str,))}
    supervised = under_systemd()
    supervised.ready("waits for Redis")
    _wait_for_redis(store, stopped)
    stops = _listen_to_slack(settings, store)
    follower.start()
    supervised.does(lambda: f"tells people by {', '.join(senders)}")
    work = TakeWork(
        url, CONTROL_QUEUE, "notifier", handlers, stopped.set, alone=False,
        on_turn=supervised.loop("messages", HANGS).beat,
    )  # fmt: skip
    log.info("telling people by %s", ", ".join(senders))
    try:
        work.run()
    finally:
        supervised.stopping()
        follower.stop()
        for stop in stops:
            stop()
        deliverer.stop()
        log.info("stopped")


def make_senders(settings: Settings, allowed: Allowed, nodes: Callable[[], list[str]]) -> dict[str, Sender]:
    """Return what this lab sends with, by kind of channel.

    Args:
        settings: of the notifier.
        allowed: where webhooks may go.
        nodes: returns the addresses of the lab's machines.

    Raises:
        BadInputError: a setting is not legal.
    """
    found: dict[str, Sender] = {}
    if token := settings.text("slack_bot_token"):
        try:
            from labq_scheduler.notify.slack import Slack
        except ImportError:
            raise BadInputError(
                "LABQ_SLACK_BOT_TOKEN is set and slack-sdk is not installed", "pip install 'labq[notify]'"
            ) from None

        buttons = bool(settings.text("slack_app_token"))
        found["slack"] = Slack(token, settings.text("slack_api_url"), buttons=buttons)
    if settings.text("smtp_host"):
        from labq_scheduler.notify.mail import Mail

        found["mail"] = Mail(settings)
    found["webhook"] = Webhook(allowed, nodes)
    return found


def _listen_to_slack(settings: Settings, store: Store) -> list[Callable[[], None]]:
    """Start Socket Mode when there is an app token; return how to stop what was started."""
    token = settings.text("slack_app_token")
    if not token:
        return []
    from labq_scheduler.notify.slack_socket import Socket
    from labq_scheduler.notify.two_way import TwoWay
    from labq_scheduler.serve import make_lab

    lab = make_lab(settings)
    lab.board.start()
    socket = Socket(token, settings.text("slack_api_url"), TwoWay(lab), store.notices)
    socket.start()
    return [socket.stop, lab.board.stop, lab.history.close]


def _wait_for_redis(store: Store, stop: threading.Event) -> None:
    began, pause = monotonic(), 0.1
    while not stop.is_set():
        try:
            store.connection.ping()
        except UnavailableError as error:
            log.warning("waiting for Redis since %.0f s: %s", monotonic() - began, error.what)
            stop.wait(pause)
            pause = min(5.0, pause * 2)
        else:
            return
