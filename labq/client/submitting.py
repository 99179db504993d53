"""Submitting: the part of ``Client`` that makes jobs."""

from __future__ import annotations

from collections.abc import Mapping

from labq.client import route
from labq.client.session import TIMEOUT, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labq.client.upload import Progress


class Submitting:
    """``submit``, ``check``, ``upload``, ``rerun``."""

    session: Session

    def submit(
        self,
        directory: str | None = None,
        *,
        array: str | None = None,
        secrets: Mapping[str, str] | None = None,
        progress: Progress | None = None,
        **spec: Any,
    ) -> dict[str, Any]:
        """Submit a directory with a Dockerfile, or with ``image=`` an image that exists.

        Args:
            directory: the build context; None when ``image`` is named.
            array: indices of an array, such as ``0-9``.
            secrets: values of the secrets that the job gets, by name.
            progress: called with ("packing" | "uploading", bytes done, bytes in all).
            **spec: the keys of a spec (docs/reference/spec.md): ``gpus="a100:2"``, ``time="4h"``, …

        Returns:
            ``{"id", "state", "name", "owner", "warnings"}``; with ``array`` also ``"jobs"``.

        Raises:
            LabqError: what is wrong and what to do next.
        """
        if secrets:
            spec["secrets"] = sorted({*spec.get("secrets", ()), *secrets})
        if directory is not None:
            spec["context"] = self.upload(directory, str(spec.get("dockerfile", "Dockerfile")), progress)
        return self.submit_spec(spec, array=array, secrets=secrets)

    def submit_spec(
        self, spec: Mapping[str, Any], *, array: str | None = None, secrets: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Submit a spec in its wire form; sent twice it still makes one job."""
        import os

        headers = {"Idempotency-Key": os.urandom(16).hex()}
        body = _request(spec, array, secrets)
        found: dict[str, Any] = self.session.json("POST", "/v1/jobs", body=body, headers=headers, repeat=True)
        return found

    def check(
        self,
        spec: Mapping[str, Any],
        *,
        array: str | None = None,
        estimate: bool = True,
        timeout: float = TIMEOUT,
    ) -> dict[str, Any]:
        """Return where a spec would fit, ``{"why", "fits", …}``; nothing is made.

        Args:
            spec: its wire form.
            array: indices of an array, such as ``0-9``.
            estimate: also when it would start, which takes a long queue seconds to say.
            timeout: seconds of silence that are borne.
        """
        query = None if estimate else {"estimate": "no"}
        body = _request(spec, array, None)
        answer = self.session.send("POST", "/v1/jobs:check", query=query, body=body, timeout=timeout)
        found: dict[str, Any] = self.session.parsed(answer)
        return found

    def upload(self, directory: str, dockerfile: str = "Dockerfile", progress: Progress | None = None) -> str:
        """Bring a build context to the server unless it is there, and return its digest."""
        from labq.client import upload

        context = upload.open_directory(directory, dockerfile)
        sha = upload.digest(context, progress)
        upload.upload(self.session, context, sha, progress)
        return sha

    def rerun(
        self,
        job_id: str,
        *,
        changes: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        array: str | None = None,
    ) -> dict[str, Any]:
        """Submit the same spec again, with ``changes`` to it (a key with None goes back to its default)."""
        body: dict[str, Any] = {} if array is None else {"array": array}
        if changes:
            body["changes"] = dict(changes)
        if secrets:
            body["secrets"] = dict(secrets)
        found: dict[str, Any] = self.session.json("POST", f"{route.job(job_id)}/rerun", body=body)
        return found


def _request(spec: Mapping[str, Any], array: str | None, secrets: Mapping[str, str] | None) -> dict[str, Any]:
    body: dict[str, Any] = {"spec": dict(spec)}
    if array is not None:
        body["array"] = array
    if secrets:
        body["secrets"] = dict(secrets)
    return body
