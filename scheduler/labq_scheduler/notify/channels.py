"""What a way of telling people must do, and what may come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from labq.store import Notice
from labq_scheduler.notify.message import Message
from labq_scheduler.notify.news import News


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be sent to whom."""

    notice: Notice
    news: tuple[News, ...]
    message: Message
    #: of the person: Slack's id; "" = not known
    slack_id: str
    #: as in ``Channel``
    target: str


class NotSentError(Exception):
    """It was not sent, or nobody knows whether it was. Its text quotes no secret and no header."""

    def __init__(
        self,
        text: str,
        *,
        after: float | None = None,
        final: bool = False,
        unsure: bool = False,
        ours: bool = False,
    ) -> None:
        """Say what happened.

        Args:
            text: for an admin.
            after: seconds until it may be sent, as the other side says (429); no fault of the message.
            ours: nobody was asked: we wait by ourselves.
            final: trying again does not help.
            unsure: it may have arrived.
        """
        super().__init__(text)
        self.after, self.final, self.unsure, self.ours = after, final, unsure, ours


class Sender(Protocol):
    """One kind of channel."""

    #: seconds between two letters to one place; 0 = as they come
    pace: float

    def place(self, letter: Letter) -> str:
        """Return where exactly it goes; kept with the notice before it is sent.

        Raises:
            NotSentError: it cannot be said.
        """

    def find(self, letter: Letter, place: str, since: float) -> bool:
        """Return whether the letter is there already; False, too, where nobody can look.

        Args:
            letter: what may have been sent.
            place: what :meth:`place` said.
            since: seconds since the epoch of the first try.

        Raises:
            NotSentError: it cannot be looked up now.
        """

    def send(self, letter: Letter, place: str) -> None:
        """Send it.

        Raises:
            NotSentError: it was not sent, or nobody knows.
        """
