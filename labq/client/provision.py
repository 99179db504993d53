"""The part of ``Client`` that has machines made and remade."""

from __future__ import annotations

from labq.client.route import part
from labq.client.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

#: Seconds of one long poll (the server's limit is 60), and for which a server that went away is tried again: a play
#: may restart the control machine's.
_LONG_POLL, _PATIENCE = 30, 600.0
#: Seconds of one long poll while a run has not begun: whoever follows it is told why it waits.
_SHORT_POLL = 5


class Provision:
    """``provision``, ``provision_runs``, ``provision_run``, ``provision_news``, ``cancel_provision``."""

    session: Session

    def provision(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Start a run (admin).

        Args:
            request: any of ``playbook``, ``limit``, ``tags``, ``check``, ``diff``, ``host``, ``dead``.
        """
        found: dict[str, Any] = self.session.json("POST", "/v1/provision", body=dict(request))
        return found

    def provision_runs(self, limit: int = 20) -> list[dict[str, Any]]:
        """Return the last runs, newest last (admin)."""
        found: list[dict[str, Any]] = self.session.json("GET", "/v1/provision", query={"limit": limit})
        return found

    def provision_run(self, run_id: str) -> dict[str, Any]:
        """Return one run (admin)."""
        found: dict[str, Any] = self.session.json("GET", f"/v1/provision/{part(run_id)}")
        return found

    def provision_news(self, run_id: str, after: int = 0) -> Iterator[dict[str, Any]]:
        """Yield ``{"events": […], "run": {…}}`` as things happen, until the run has ended (admin).

        Args:
            run_id: of the run.
            after: number of the last event that is known.
        """
        queued = True
        while True:
            query = {"after": after, "wait": _SHORT_POLL if queued else _LONG_POLL}
            answer = self.session.send(
                "GET", f"/v1/provision/{part(run_id)}/events", query=query, patience=_PATIENCE
            )
            news = self.session.parsed(answer)
            yield news
            queued = news["run"]["state"] == "queued"
            if news["events"]:
                after = news["events"][-1]["n"]
            elif news["run"]["ended"]:
                return

    def cancel_provision(self, run_id: str) -> dict[str, Any]:
        """Cancel a run (admin)."""
        path = f"/v1/provision/{part(run_id)}/cancel"
        found: dict[str, Any] = self.session.json("POST", path, body={}, repeat=True)
        return found
