"""Slack's Web API: where a person is, what is there already, and sending. Knows the bot token and never shows it."""

from __future__ import annotations

import http.client
import logging
import threading
import urllib.error
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from labq_scheduler.notify.blocks import blocks
from labq_scheduler.notify.channels import Letter, NotSentError

log = logging.getLogger(__name__)
#: Seconds for one answer of Slack.
TIMEOUT = 10
#: What of our message only machines see: by it a message is found again.
EVENT_TYPE = "labq_notice"
#: Messages looked at on one page, and pages: more cannot have come since a notifier died.
_PAGE, _PAGES = 200, 5
#: Seconds by which Slack's clock and ours may differ.
_SKEW = 300.0
#: Slack's words for what does not mend itself by waiting.
_FINAL = frozenset(
    {
        "channel_not_found", "not_in_channel", "is_archived", "user_not_found", "users_not_found", "user_disabled",
        "cannot_dm_bot", "messages_tab_disabled", "restricted_action", "invalid_blocks", "msg_too_long", "no_text",
        "invalid_metadata_format", "invalid_arguments", "user_not_visible", "not_allowed",
    }
)  # fmt: skip
#: Words that say nothing of whether the message was taken.
_UNSURE = frozenset({"internal_error", "fatal_error", "request_timeout", "service_unavailable", "timeout"})


def web_client(token: str, api_url: str) -> WebClient:
    """Return a client that repeats nothing by itself: only whoever looks first may send again."""
    # slack_sdk's own lines show addresses of sockets, which are secrets for a minute.
    logging.getLogger("slack_sdk").setLevel(logging.WARNING)
    return WebClient(token=token, base_url=api_url, timeout=TIMEOUT, retry_handlers=[])


class Slack:
    """The lab's Slack app. For several threads."""

    #: one message a second and channel is Slack's limit for chat.postMessage (docs.slack.dev, "Rate limits")
    pace = 1.0

    def __init__(self, token: str, api_url: str, *, buttons: bool) -> None:
        """Prepare; nothing is sent yet.

        Args:
            token: of the bot.
            api_url: Slack's, or a gateway's.
            buttons: somebody listens to buttons (Socket Mode).
        """
        self._client = web_client(token, api_url)
        self._buttons = buttons
        self._channels: dict[str, str] = {}
        self._lock = threading.Lock()

    def place(self, letter: Letter) -> str:
        """Return the id of the conversation: the person's direct messages, or the channel of their choice."""
        if letter.target and not letter.target.startswith("#"):
            return letter.target
        if letter.target:
            return self._named(letter.target[1:])
        if not letter.slack_id:
            raise NotSentError(
                f"nobody knows who {letter.notice.lane} is in Slack: labq user set {letter.notice.lane} --slack ID",
                final=True,
            )
        with self._lock:
            found = self._channels.get(letter.slack_id)
        if found is None:
            found = str(self._call("conversations.open", users=letter.slack_id)["channel"]["id"])
            with self._lock:
                self._channels[letter.slack_id] = found
        return found

    def find(self, letter: Letter, place: str, since: float) -> bool:
        """Return whether the conversation holds the notice."""
        cursor = ""
        for _ in range(_PAGES):
            try:
                page = self._call(
                    "conversations.history", channel=place, oldest=f"{since - _SKEW:.6f}", limit=_PAGE,
                    include_all_metadata=True, cursor=cursor,
                )  # fmt: skip
            except RefusedError as error:
                if not error.final and error.word != "missing_scope":
                    raise
                log.warning(
                    "nobody can look whether notice %s arrived (%s); it is sent again",
                    letter.notice.id,
                    error,
                )
                return False
            if any(_is(message, letter.notice.id) for message in page.get("messages") or ()):
                return True
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return False
        return False

    def send(self, letter: Letter, place: str) -> None:
        """Post the message; links in it are not looked up, names not turned into mentions."""
        text, made = blocks(letter.message, buttons=self._buttons)
        self._call(
            "chat.postMessage", channel=place, text=text, blocks=made, parse="none", link_names=False, mrkdwn=False,
            unfurl_links=False, unfurl_media=False,
            metadata={"event_type": EVENT_TYPE, "event_payload": {"id": letter.notice.id}},
        )  # fmt: skip

    def _named(self, name: str) -> str:
        with self._lock:
            if "#" + name in self._channels:
                return self._channels["#" + name]
        cursor = ""
        for _ in range(50):
            page = self._call(
                "conversations.list", types="public_channel,private_channel", exclude_archived=True, limit=_PAGE, cursor=cursor
            )  # fmt: skip
            for channel in page.get("channels") or ():
                if channel.get("name") == name:
                    with self._lock:
                        self._channels["#" + name] = str(channel["id"])
                    return str(channel["id"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                break
        raise NotSentError(
            f"the app sees no channel #{name}: invite it there (/invite), or name its id", final=True
        )

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        # By slack_sdk's own methods: some of Slack's take no JSON, and they know which.
        asked = getattr(self._client, method.replace(".", "_"))
        try:
            answer = asked(**arguments)
        except SlackApiError as error:
            raise _refused(method, error) from None
        except (
            SlackClientError,
            urllib.error.URLError,
            http.client.HTTPException,
            OSError,
            ValueError,
        ) as error:
            raise RefusedError(
                f"{method}: Slack does not answer ({type(error).__name__})", unsure=True
            ) from None
        data = answer.data
        return data if isinstance(data, dict) else {}


class RefusedError(NotSentError):
    """Slack's refusal, with its word for it."""

    word = ""


def _refused(method: str, error: SlackApiError) -> RefusedError:
    answer = error.response
    headers = {str(key).lower(): value for key, value in dict(getattr(answer, "headers", None) or {}).items()}
    status = int(getattr(answer, "status_code", 0) or 0)
    data = getattr(answer, "data", None)
    word = str(data.get("error", "")) if isinstance(data, dict) else ""
    if status == 429 or word == "ratelimited":
        return RefusedError(f"{method}: too many at once", after=_seconds(headers.get("retry-after")))
    shown = word if word.replace("_", "").isalnum() else f"status {status}"
    found = RefusedError(
        f"{method}: {shown[:80]}", final=word in _FINAL, unsure=word in _UNSURE or (not word or status >= 500)
    )
    found.word = word
    return found


def _seconds(said: Any) -> float:
    text = str(said[0] if isinstance(said, list) and said else said)
    # Slack sends whole seconds; 30 is what its documents name when it says nothing.
    return float(min(3600, max(1, int(text)))) if text.isascii() and text.isdigit() else 30.0


def _is(message: dict[str, Any], notice_id: str) -> bool:
    metadata = message.get("metadata") or {}
    payload = metadata.get("event_payload") or {}
    return metadata.get("event_type") == EVENT_TYPE and payload.get("id") == notice_id
