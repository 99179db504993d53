"""Notices by e-mail. The only importer of smtplib; knows the password and never shows it."""

from __future__ import annotations

import hashlib
import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.utils import formatdate

from labq.errors import BadInputError
from labq.settings import Settings
from labq_scheduler.notify import plain
from labq_scheduler.notify.channels import Letter, NotSentError
from labq_scheduler.notify.deadline import cut_after

#: Seconds for one answer of the mail server, and for the whole of a letter.
TIMEOUT, DEADLINE = 15, 60.0


class Mail:
    """The lab's mail server. At least once: no mail server says whether it has a message already.

    The Message-ID comes from the notice, so that a reader which compares them shows a doubled message once.
    """

    pace = 0.0

    def __init__(self, settings: Settings) -> None:
        """Prepare.

        Raises:
            BadInputError: a setting is not legal.
        """
        self._host, self._port = settings.text("smtp_host"), settings.number("smtp_port")
        self._tls, self._from = settings.text("smtp_tls"), settings.text("smtp_from")
        self._user, self._password = settings.text("smtp_user"), settings.text("smtp_password")
        if self._tls not in {"starttls", "tls", "none"}:
            raise BadInputError(f"LABQ_SMTP_TLS {self._tls!r} is not legal", "write starttls, tls or none")
        if not self._from.isprintable() or "@" not in self._from:
            raise BadInputError(f"LABQ_SMTP_FROM {self._from!r} is no address", "write labq@example.org")

    def place(self, letter: Letter) -> str:
        """Return the address."""
        return letter.target

    def find(self, letter: Letter, place: str, since: float) -> bool:
        """Return False: nobody can look."""
        return False

    def send(self, letter: Letter, place: str) -> None:
        """Hand it to the mail server."""
        sure = True  # that nothing was sent
        try:
            server = self._connect()
            try:
                with cut_after(_socket(server), DEADLINE):
                    self._begin(server)
                    made = _mail(letter, self._from, place)
                    sure = False
                    server.send_message(made, self._from.rpartition(" ")[2].strip("<>"), [place])
            finally:
                server.close()  # not quit(): what goes wrong after the message was taken is no fault of it
        except smtplib.SMTPResponseException as error:
            # 4yz: later; 5yz: never. The server's words are left out: some quote what was sent to them.
            raise NotSentError(
                f"the mail server answered {error.smtp_code} ({type(error).__name__})",
                final=500 <= error.smtp_code < 600,
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            raise NotSentError(
                f"the mail server refuses the address ({', '.join(map(str, codes))})",
                final=all(code >= 500 for code in codes),
            ) from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise NotSentError(
                f"the mail server does not answer ({type(error).__name__})", unsure=not sure
            ) from None

    def _login(self, server: smtplib.SMTP) -> None:
        try:
            server.login(self._user, self._password)
        except smtplib.SMTPException as error:
            # Some servers hang up after a wrong password: that is no answer, but this is what it was about.
            raise NotSentError(f"the mail server refuses the login ({type(error).__name__})") from None

    def _connect(self) -> smtplib.SMTP:
        if self._tls == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT, context=context)
        return smtplib.SMTP(self._host, self._port, timeout=TIMEOUT)

    def _begin(self, server: smtplib.SMTP) -> None:
        if self._tls == "starttls":
            server.starttls(context=ssl.create_default_context())
        if self._user:
            self._login(server)


def _socket(server: smtplib.SMTP) -> socket.socket:
    if server.sock is None:
        raise smtplib.SMTPServerDisconnected("it hung up")
    return server.sock


def _mail(letter: Letter, sender: str, to: str) -> EmailMessage:
    made = EmailMessage()
    made["Subject"] = plain.subject(letter.message)
    made["From"], made["To"] = sender, to
    made["Date"] = formatdate(letter.notice.made_at)
    digest = hashlib.sha256(letter.notice.id.encode()).hexdigest()[:32]
    made["Message-ID"] = f"<{digest}.labq@{sender.rpartition('@')[2].strip('> ') or 'localhost'}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(plain.text(letter.message))
    return made
