"""Works lanes: sends each person's notices in order, each once, and gives up in the end.

What became of a notice is written before and after it is sent. Whoever finds it "sending" and does not know how that
ended looks first whether it is there (Slack), and sends it again only if it is not.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from labq.clock import now
from labq.errors import BadInputError, LabqError
from labq.notify import Channel
from labq.store import Notice, Store
from labq_scheduler.notify.allowed import Allowed
from labq_scheduler.notify.channels import Letter, NotSentError, Sender
from labq_scheduler.notify.message import Message, Places, message
from labq_scheduler.notify.news import News
from labq_scheduler.notify.pool import Pool

log = logging.getLogger(__name__)
#: Seconds before the first new try; doubles with each, at most LONGEST.
FIRST, LONGEST = 2.0, 600.0
#: Seconds that this process waits by itself: the follower names a lane again after ten at the earliest.
SOON = 2.0
#: Lanes worked at the same time: one that hangs does not keep the others.
THREADS = 4
#: Channels whose other side a member chooses have threads of their own: what hangs there does not keep Slack.
SLOW = frozenset({"mail", "webhook"})
#: Seconds that a stop waits for what is being sent: Slack answers in ten or not at all; the others are not waited
#: for, but for what is just ending: it would be sent once more.
LAST, LAST_SLOW = 12.0, 1.0
LastLines = Callable[[str, int], tuple[str, ...]]


class Deliverer:
    """Sends what is due. For several threads; a lane is worked by one at a time."""

    def __init__(
        self,
        store: Store,
        token: str,
        senders: Mapping[str, Sender],
        allowed: Allowed,
        places: Places,
        last_lines: LastLines,
        give_up: float,
    ) -> None:
        """Prepare.

        Args:
            store: where notices are.
            token: of this process, under which it holds lanes.
            senders: by kind of channel.
            allowed: which channels members may choose.
            places: for links.
            last_lines: of the log of a job's attempt.
            give_up: seconds after which a notice that could not be sent becomes a dead letter.
        """
        self._store, self._token, self._senders = store, token, senders
        self._allowed, self._places = allowed, places
        self._last_lines, self._give_up = last_lines, give_up
        self._pools = {slow: Pool("slow" if slow else "deliver", THREADS) for slow in (False, True)}
        self._working: set[str] = set()
        self._knocked: set[str] = set()
        #: lanes that are worked again soon
        self._resting: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def hand_over(self, notice_id: str) -> None:
        """Take a message: work the lane of a notice soon. Returns at once."""
        if not self._stop.is_set():
            self._submit(notice_id, slow=False)

    def stop(self) -> None:
        """Send what is being sent to Slack, begin nothing new."""
        self._stop.set()
        self._pools[False].stop(LAST)
        self._pools[True].stop(LAST_SLOW)

    def _submit(self, notice_id: str, *, slow: bool) -> None:
        self._pools[slow].submit(lambda: self.deliver(notice_id, slow=slow))

    def deliver(self, notice_id: str, *, slow: bool = False) -> None:
        """Work the lane of a notice until nothing in it is due.

        Args:
            notice_id: one of the lane.
            slow: whether this is one of the threads for slow channels.
        """
        others = False
        try:
            found = self._store.notices.get(notice_id)
            if found is None or not self._enter(found.lane):
                return
            again = True
            while again:
                try:
                    if self._store.notices.take(found.lane, self._token):
                        try:
                            others = self._work(found.lane, slow=slow)
                        finally:
                            # Kept, a hint that another notifier takes would be lost on it.
                            self._store.notices.release(found.lane, self._token)
                finally:
                    again = self._leave(found.lane)
            if others:
                self._submit(notice_id, slow=not slow)
        except LabqError as error:
            log.warning("delivering: %s", error.what)
        except Exception:
            log.exception("delivering %s", notice_id)

    def _work(self, lane: str, *, slow: bool) -> bool:
        """Return whether the other threads are to go on with the lane."""
        while not self._stop.is_set():
            head = self._store.notices.head(lane)
            if head is None:
                return False
            if head.unsure and head.place.partition(" ")[0] in SLOW:
                head = replace(
                    head, unsure=False
                )  # nobody can look there: it goes where the person wants it now
            channel = self._store.notices.preferences(lane).channel
            # What may have been sent is looked for where it was sent, whatever the person wants by now.
            kind = head.place.partition(" ")[0] if head.unsure else channel.kind
            if (kind in SLOW) != slow:
                return True
            if not self._one(head, kind, channel):
                return False
        return False

    def _one(self, notice: Notice, kind: str, channel: Channel) -> bool:
        """Deliver the first notice of a lane; return whether the next one is to follow at once."""
        if notice.not_before > now():
            return False  # this message came before the wait began
        person = self._store.people.get(notice.lane)
        place = notice.place.partition(" ")[2] if notice.unsure else ""
        if kind == "none":
            return self._settle(notice, "sent", error="not wanted any more")
        sending, where = False, ""
        try:
            sender = self._sender(kind)
            letter = self._letter(notice, person.slack_id if person else "", channel)
            if notice.unsure and sender.find(letter, place, notice.first_try or notice.made_at):
                log.info("notice %s had arrived", notice.id)
                return self._settle(notice, "sent", unsure=0, sent_at=now())
            if not notice.unsure:
                self._may(channel)
                place = sender.place(letter)
            where = f"{kind} {place}"
            self._pace(sender, where)
            notice = replace(notice, first_try=notice.first_try or now())
            if not self._settle(notice, "sending", place=where, unsure=1, first_try=notice.first_try):
                return False
            sending = True
            sender.send(letter, place)
        except NotSentError as error:
            # Only sending makes it unsure, or sure; what failed before that left it as it was.
            unsure = error.unsure if sending else notice.unsure
            return self._failed(notice, kind, error, unsure=unsure, posted=where if sending else "")
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
            raise NotSentError("too many at once", after=left, ours=True)
        return sender

    def _pace(self, sender: Sender, where: str) -> None:
        left = self._store.notices.pace(where, sender.pace) if sender.pace else 0.0
        if left > 0:
            raise NotSentError("the one before was sent just now", after=left, ours=True)

    def _may(self, channel: Channel) -> None:
        try:
            self._allowed.check(channel)
        except BadInputError as error:  # chosen before the settings said otherwise
            raise NotSentError(f"{error.what}: {error.next}", final=True) from None

    def _failed(
        self, notice: Notice, kind: str, error: NotSentError, *, unsure: bool, posted: str = ""
    ) -> bool:
        at = now()
        first = notice.first_try or at
        old = at - notice.since > self._give_up
        if error.ours and error.after is not None and error.after <= SOON:
            self._soon(notice, error.after)
            return False
        if error.after is not None and (error.ours or not old):
            if kind == "slack" and not error.ours:
                self._pause(posted, error.after)
            self._wait(notice, at + error.after, error, unsure=unsure)
            return False
        if error.final or old:
            log.error("notice %s for %s is a dead letter: %s", notice.id, notice.lane, error)
            return self._settle(notice, "dead", error=str(error), unsure=int(unsure), tries=notice.tries + 1)
        wait = min(LONGEST, FIRST * 2**notice.tries)
        log.warning(
            "notice %s for %s was not sent (%s); again in %.0f s", notice.id, notice.lane, error, wait
        )
        self._wait(notice, at + wait, error, unsure=unsure, tries=notice.tries + 1, first_try=first)
        return False

    def _soon(self, notice: Notice, seconds: float) -> None:
        with self._lock:
            if notice.lane in self._resting:
                return
            self._resting.add(notice.lane)
        timer = threading.Timer(seconds, self._rested, (notice,))
        timer.daemon = True
        timer.start()

    def _rested(self, notice: Notice) -> None:
        with self._lock:
            self._resting.discard(notice.lane)
        self.hand_over(notice.id)

    def _pause(self, posted: str, seconds: float) -> None:
        """Keep a limit of Slack's: of one conversation, or of the whole app when it was no post or a second one hit it."""
        everywhere = not posted or self._store.notices.limited("slack", posted, seconds)
        self._store.notices.pause("slack" if everywhere else posted, seconds)

    def _wait(
        self, notice: Notice, until: float, error: NotSentError, *, unsure: bool, **fields: float
    ) -> None:
        said = str(error)
        self._settle(notice, "made", again=until, not_before=until, error=said, unsure=int(unsure), **fields)

    def _letter(self, notice: Notice, slack_id: str, channel: Channel) -> Letter:
        news = tuple(News.from_json(item) for item in notice.items)
        made: Message = message(news, notice.total, self._places, now())
        if made.log_of is not None:
            made = replace(made, log=self._last_lines(*made.log_of))
        if channel.target:  # others may read it, too
            made = replace(made, whom=notice.lane)
        return Letter(notice, news, made, slack_id, channel.target)

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
