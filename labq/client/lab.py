"""The part of ``Client`` that looks at machines, people and the server itself."""

from __future__ import annotations

from labq.client.route import part
from labq.client.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Lab:
    """``nodes``, ``node``, ``drain``, ``resume``, ``remove_node``, ``gpus``, ``usage``, ``history``, ``rules``, ``image``, ``me``, ``doctor``, people."""

    session: Session

    def nodes(self) -> list[dict[str, Any]]:
        """Return every node with its GPUs."""
        found: list[dict[str, Any]] = self.session.json("GET", "/v1/nodes")
        return found

    def node(self, name: str) -> dict[str, Any]:
        """Return one node."""
        found: dict[str, Any] = self.session.json("GET", f"/v1/nodes/{part(name)}")
        return found

    def drain(self, name: str, reason: str) -> Any:
        """Place no more jobs on a node (admin)."""
        return self.session.json(
            "POST", f"/v1/nodes/{part(name)}/drain", body={"reason": reason}, repeat=True
        )

    def resume(self, name: str) -> Any:
        """Place jobs on a node again (admin)."""
        return self.session.json("POST", f"/v1/nodes/{part(name)}/resume", body={}, repeat=True)

    def remove_node(self, name: str) -> Any:
        """Forget a node that is gone (admin)."""
        return self.session.json("DELETE", f"/v1/nodes/{part(name)}")

    def gpus(self) -> list[dict[str, Any]]:
        """Return every GPU with who holds it."""
        found: list[dict[str, Any]] = self.session.json("GET", "/v1/gpus")
        return found

    def usage(
        self,
        by: str = "user",
        *,
        since: str | None = None,
        until: str | None = None,
        user: str | None = None,
    ) -> dict[str, Any]:
        """Return who used how many GPU-hours.

        Args:
            by: "user", "group" or "node".
            since: a duration ago (7d), or an RFC 3339 time; None = 7 days ago.
            until: the same; None = now.
            user: only this person's use.
        """
        query = {"by": by, "since": since, "until": until, "user": user}
        found: dict[str, Any] = self.session.json("GET", "/v1/usage", query=query)
        return found

    def history(self, since: str | None = None) -> dict[str, Any]:
        """Return the jobs that ran and are over, as a replay needs them: ``{"since", "cut", "pseudonyms", "rules", "jobs"}``.

        Args:
            since: submitted since then: a duration ago (90d), or an RFC 3339 time; None = 90 days ago.
        """
        found: dict[str, Any] = self.session.json("GET", "/v1/history", query={"since": since})
        return found

    def rules(self) -> dict[str, Any]:
        """Return the rules in force, and where each comes from."""
        found: dict[str, Any] = self.session.json("GET", "/v1/rules")
        return found

    def compare_rules(self, text: str, name: str = "rules.toml") -> dict[str, Any]:
        """Return what a file of rules would change (admin); nothing is changed.

        Args:
            text: of the file.
            name: of the file, for messages.
        """
        body = {"text": text, "name": name}
        found: dict[str, Any] = self.session.json("POST", "/v1/rules:compare", body=body, repeat=True)
        return found

    def image(self, key: str) -> dict[str, Any]:
        """Return on which nodes an image is ready."""
        found: dict[str, Any] = self.session.json("GET", f"/v1/images/{part(key)}")
        return found

    def image_log(self, key: str) -> bytes:
        """Return the log of the latest build or pull of an image."""
        return self.session.send("GET", f"/v1/images/{part(key)}/log").read()

    def me(self) -> dict[str, Any]:
        """Return who the token says you are."""
        found: dict[str, Any] = self.session.json("GET", "/v1/me")
        return found

    def doctor(self) -> list[dict[str, Any]]:
        """Return what the server finds of itself: ``{"name", "ok", "what", "next"}``."""
        found: list[dict[str, Any]] = self.session.json("GET", "/v1/doctor")
        return found

    def users(self) -> list[dict[str, Any]]:
        """Return everybody (admin)."""
        found: list[dict[str, Any]] = self.session.json("GET", "/v1/users")
        return found

    def user(self, name: str) -> dict[str, Any]:
        """Return one person (admin)."""
        found: dict[str, Any] = self.session.json("GET", f"/v1/users/{part(name)}")
        return found

    def put_user(
        self,
        name: str,
        *,
        uid: int | None = None,
        gid: int | None = None,
        admin: bool | None = None,
        group: str | None = None,
        slack_id: str | None = None,
    ) -> Any:
        """Add or change a person (admin); None = as it was. A new one needs ``uid`` and ``gid``."""
        said = {"uid": uid, "gid": gid, "admin": admin, "group": group, "slack_id": slack_id}
        body = {key: value for key, value in said.items() if value is not None}
        return self.session.json("PUT", f"/v1/users/{part(name)}", body=body)

    def remove_user(self, name: str) -> Any:
        """Forget a person and their tokens (admin)."""
        return self.session.json("DELETE", f"/v1/users/{part(name)}")

    def new_token(self, name: str) -> str:
        """Make a token for a person (admin); it is shown this once."""
        return str(self.session.json("POST", f"/v1/users/{part(name)}/tokens", body={})["token"])
