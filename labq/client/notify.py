"""The part of ``Client`` that says what one wants to be told."""

from __future__ import annotations

from labq.client.route import part
from labq.client.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Notify:
    """``notify``, ``set_notify``, ``test_notify``, ``dead_letters``, ``retry_dead_letter``, ``forget_dead_letters``."""

    session: Session

    def notify(self) -> dict[str, Any]:
        """Return what you want to be told, and what keeps it from you (``problem``)."""
        found: dict[str, Any] = self.session.json("GET", "/v1/me/notify")
        return found

    def set_notify(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change what you want to be told.

        Args:
            changes: any of ``events``, ``channel``, ``quiet``, ``zone``, ``digest``, ``longer_than``; None = the default.
        """
        found: dict[str, Any] = self.session.json("PUT", "/v1/me/notify", body=dict(changes))
        return found

    def test_notify(self) -> dict[str, Any]:
        """Send yourself a notice that says nothing."""
        found: dict[str, Any] = self.session.json("POST", "/v1/me/notify/test", body={})
        return found

    def dead_letters(self) -> list[dict[str, Any]]:
        """Return the notices that could not be sent to you; to anybody if you are an admin."""
        found: list[dict[str, Any]] = self.session.json("GET", "/v1/notify/dead")
        return found

    def retry_dead_letter(self, notice_id: str) -> dict[str, Any]:
        """Send a dead letter of yours again; any if you are an admin."""
        path = f"/v1/notify/dead/{part(notice_id)}/retry"
        found: dict[str, Any] = self.session.json("POST", path, body={})
        return found

    def forget_dead_letter(self, notice_id: str) -> dict[str, Any]:
        """Forget a dead letter of yours; any if you are an admin."""
        found: dict[str, Any] = self.session.json("DELETE", f"/v1/notify/dead/{part(notice_id)}")
        return found

    def forget_dead_letters(self) -> int:
        """Forget all dead letters of yours, of everybody if you are an admin; return how many they were."""
        return int(self.session.json("DELETE", "/v1/notify/dead")["forgotten"])
