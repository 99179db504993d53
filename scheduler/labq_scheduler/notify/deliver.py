"""Works lanes: sends each person's notices in order, each once, and gives up in the end.

What became of a notice is written before and after it is sent. Whoever finds it "sending" and does not know how that
ended looks first whether it is there (Slack), and sends it again only if it is not.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from labq.clock import now
from labq.errors import LabqError
from labq.store import Notice, Store
from labq_scheduler.notify.channels import Letter, NotSentError, Sender
from labq_scheduler.notify.message import Message, Places, message
from labq_scheduler.notify.news import News

log = logging.getLogger(__name__)
#: Seconds before the first new try; doubles with each, at most LONGEST.
FIRST, LONGEST = 2.0, 600.0
#: Lanes worked at the same time: one that hangs does not keep the others.
THREADS = 4
LastLines = Callable[[str, int], tuple[str, ...]]


class Deliverer:
    """Sends what is due. For several threads; a lane is worked by one at a time."""

    def __init__(
        self,
        store: Store,
        token: str,
        senders: Mapping[str, Sender],
        places: Places,
        last_lines: LastLines,
        give_up: float,
    ) -> None:
        """Prepare.

        Args:
            store: where notices are.
            token: of this process, under which it holds lanes.
            senders: by kind of channel.
            places: for links.
            last_lines: of the log of a job's attempt.
            give_up: seconds after the first try of a notice when it becomes a dead letter.
        """
        self._store, self._token, self._senders = store, token, senders
        self._places, self._last_lines, self._give_up = places, last_lines, give_up
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="deliver")
        self._working: set[str] = set()
        self._knocked: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def hand_over(self, notice_id: str) -> None:
        """Take a message: work the lane of a notice soon. Returns at once."""
        if not self._stop.is_set():
            self._pool.submit(self.deliver, notice_id)

    def stop(self) -> None:
        """Send what is being sent, begin nothing new."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def deliver(self, notice_id: str) -> None:
        """Work the lane of a notice until nothing in it is due."""
        try:
            found = self._store.notices.get(notice_id)
            if found is None or not self._enter(found.lane):
                return
            again = True
            while again:
                try:
                    if self._store.notices.take(found.lane, self._token):
                        self._work(found.lane)
                finally:
                    again = self._leave(found.lane)
        except LabqError as error:
            log.warning("delivering: %s", error.what)
        except Exception:
            log.exception("delivering %s", notice_id)

    def _work(self, lane: str) -> None:
        while not self._stop.is_set():
            head = self._store.notices.head(lane)
            if head is None or not self._one(head):
                return

    def _one(self, notice: Notice) -> bool:
        """Deliver the first notice of a lane; return whether the next one is to follow at once."""
        if notice.not_before > now():
            return False  # this message came before the wait began
        person = self._store.people.get(notice.lane)
        channel = self._store.notices.preferences(notice.lane).channel
        kind, place = channel.kind, ""
        if notice.unsure:  # it is looked for where it was sent, whatever the person wants by now
            kind, _, place = notice.place.partition(" ")
        if kind == "none":
            return self._settle(notice, "sent", error="not wanted any more")
        sending = False
        try:
            sender = self._sender(kind)
            letter = self._letter(notice, person.slack_id if person else "", channel.target)
            if notice.unsure and sender.find(letter, place, notice.first_try or notice.made_at):
                log.info("notice %s had arrived", notice.id)
                return self._settle(notice, "sent", unsure=0, sent_at=now())
            if not notice.unsure:
                place = sender.place(letter)
            notice = replace(notice, first_try=notice.first_try or now())
            where = f"{kind} {place}"
            if not self._settle(notice, "sending", place=where, unsure=1, first_try=notice.first_try):
                return False
            sending = True
            sender.send(letter, place)
        except NotSentError as error:
            # Only sending makes it unsure, or sure; what failed before that left it as it was.
            return self._failed(notice, kind, error, unsure=error.unsure if sending else notice.unsure)
        except LabqError:
            raise
        except Exception as error:  # nor may one that cannot be written keep its person's others, for ever
            log.exception("notice %s", notice.id)
            fault = NotSentError(f"a fault of labq ({type(error).__name__})", final=True)
            return self._failed(notice, kind, fault, unsure=sending or notice.unsure)
        return self._settle(notice, "sent", unsure=0, sent_at=now(), error="")

    def _sender(self, kind: str) -> Sender:
        sender = self._senders.get(kind)
        if sender is None:
            raise NotSentError(f"this lab sends nothing by {kind}", final=True)
        if (left := self._store.notices.paused(kind)) > 0:
            raise NotSentError("too many at once", after=left)
        return sender

    def _failed(self, notice: Notice, kind: str, error: NotSentError, *, unsure: bool) -> bool:
        at = now()
        if error.after is not None:
            if kind == "slack":  # its limits are the app's; another's web server has only its own
                self._store.notices.pause(kind, error.after)
            self._wait(notice, at + error.after, error, unsure=unsure)
            return False
        first = notice.first_try or at
        if error.final or at - first > self._give_up:
            log.error("notice %s for %s is a dead letter: %s", notice.id, notice.lane, error)
            return self._settle(notice, "dead", error=str(error), unsure=int(unsure), tries=notice.tries + 1)
        wait = min(LONGEST, FIRST * 2**notice.tries)
        log.warning(
            "notice %s for %s was not sent (%s); again in %.0f s", notice.id, notice.lane, error, wait
        )
        self._wait(notice, at + wait, error, unsure=unsure, tries=notice.tries + 1, first_try=first)
        return False

    def _wait(
        self, notice: Notice, until: float, error: NotSentError, *, unsure: bool, **fields: float
    ) -> None:
        said = str(error)
        self._settle(notice, "made", again=until, not_before=until, error=said, unsure=int(unsure), **fields)

    def _letter(self, notice: Notice, slack_id: str, target: str) -> Letter:
        news = tuple(News.from_json(item) for item in notice.items)
        made: Message = message(news, notice.total, self._places)
        if made.log_of is not None:
            made = replace(made, log=self._last_lines(*made.log_of))
        return Letter(notice, news, made, slack_id, target)

    def _settle(self, notice: Notice, state: str, *, again: float = 0.0, **fields: str | float) -> bool:
        return self._store.notices.settle(
            notice, self._token, state, now=now(), again=again or now(), **fields
        )  # fmt: skip

    def _enter(self, lane: str) -> bool:
        with self._lock:
            if lane in self._working:
                self._knocked.add(lane)
                return False
            self._working.add(lane)
            return True

    def _leave(self, lane: str) -> bool:
        """Let go of a lane, unless there was news for it meanwhile: then return True, it is still ours."""
        with self._lock:
            again = lane in self._knocked and not self._stop.is_set()
            self._knocked.discard(lane)
            if not again:
                self._working.discard(lane)
            return again
