"""Socket Mode: requests of people in Slack over a connection that we open. With slack.py the only importer of slack_sdk."""

from __future__ import annotations

import http.client
import logging
import threading
import urllib.error
from typing import Any
from urllib.parse import urlsplit

from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.webhook import WebhookClient

from labq.errors import LabqError
from labq.store import NoticeStore
from labq_scheduler.notify.blocks import SECTION, escape
from labq_scheduler.notify.slack import TIMEOUT, web_client
from labq_scheduler.notify.two_way import TwoWay

log = logging.getLogger(__name__)
#: Seconds before the first new try to connect; doubles, at most LONGEST.
FIRST, LONGEST = 2.0, 60.0
#: Seconds between two pings; a connection that was cut without a word is noticed after about four.
PING = 3
#: Requests that are worked at the same time.
THREADS = 4


class Socket:
    """Listens in threads of its own; each request is acknowledged before it is worked (Slack waits three seconds)."""

    def __init__(self, app_token: str, api_url: str, two_way: TwoWay, notices: NoticeStore) -> None:
        """Prepare.

        Args:
            app_token: of the app, for Socket Mode.
            api_url: Slack's, or a gateway's.
            two_way: answers.
            notices: remembers which requests were answered: Slack repeats one whose acknowledgement was lost.
        """
        self._two_way, self._notices = two_way, notices
        self._own_url = api_url
        quiet = logging.getLogger("slack_sdk.socket_mode")
        # Its lines hold the address of the socket, which lets whoever has it listen.
        quiet.setLevel(logging.CRITICAL)
        self._client = SocketModeClient(
            app_token, quiet, web_client("", api_url), concurrency=THREADS, ping_interval=PING
        )
        self._client.socket_mode_request_listeners.append(self._heard)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._connect, name="socket-mode", daemon=True)

    def start(self) -> None:
        """Begin to connect; what goes wrong is tried again for ever."""
        self._thread.start()

    def stop(self) -> None:
        """Close the connection."""
        self._stop.set()
        self._thread.join(timeout=3)
        self._client.close()

    def _connect(self) -> None:
        pause = FIRST
        while not self._stop.is_set():
            try:
                self._client.connect()
            except SlackApiError as error:
                log.warning("Slack refuses Socket Mode: %s", str(error.response.get("error", "?"))[:80])
            except Exception as error:  # noqa: BLE001 - slack_sdk raises what its socket does
                log.warning("Socket Mode does not connect (%s)", type(error).__name__)
            else:
                log.info("listening to Slack")
                return  # from here on slack_sdk connects again by itself
            self._stop.wait(pause)
            pause = min(LONGEST, pause * 2)

    def _heard(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        try:
            client.send_socket_mode_response(SocketModeResponse(request.envelope_id))
            if not self._notices.first_time(request.envelope_id[:100]):
                return
            answer = self._answer(request)
            if answer is not None:
                self._say(str(request.payload.get("response_url") or ""), answer)
        except LabqError as error:
            log.warning("Socket Mode: %s", error.what)
        except Exception as error:  # noqa: BLE001 - its text may quote the address of the answer
            log.error("Socket Mode: a request failed (%s)", type(error).__name__)  # noqa: TRY400

    def _answer(self, request: SocketModeRequest) -> str | None:
        match request.type:
            case "slash_commands":
                return self._two_way.slash(request.payload)
            case "interactive" if request.payload.get("type") == "block_actions":
                return self._two_way.pressed(request.payload)
            case _:
                return None

    def _say(self, url: str, text: str) -> None:
        """Answer, so that only who asked sees it."""
        if not _is_slacks(url, self._own_url):
            log.warning("a request in Slack has no address for its answer")
            return
        body: dict[str, Any] = {"type": "plain_text", "text": escape(text, SECTION), "emoji": False}
        try:
            WebhookClient(url, timeout=TIMEOUT, retry_handlers=[]).send(
                text=escape(text, SECTION), blocks=[{"type": "section", "text": body}], response_type="ephemeral",
                replace_original=False,
            )  # fmt: skip
        except (SlackClientError, urllib.error.URLError, http.client.HTTPException, OSError) as error:
            log.warning("an answer did not reach Slack (%s)", type(error).__name__)


def _is_slacks(url: str, api_url: str) -> bool:
    """Return whether an address for an answer is Slack's own, or of the gateway that stands for it."""
    parts, own = urlsplit(url), urlsplit(api_url)
    if parts.netloc and (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
        return True
    return parts.scheme == "https" and parts.netloc == "hooks.slack.com"
