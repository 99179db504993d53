"""What `labq doctor --node` looks at: each requirement of the role preflight, asked of the machine in check mode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from labq.cli import parser as common
from labq.errors import BadInputError
from labq.provision_request import PREFLIGHT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def node_findings(options: Any) -> Iterator[dict[str, Any]]:
    """Yield findings ``{"name", "ok", "what", "next"}`` as they come.

    Raises:
        BadInputError: the node is not in the inventory.
    """
    request = {"playbook": PREFLIGHT, "limit": options.node, "check": True}
    if options.here:
        from labq.cli.provision_here import news_here

        return findings(options.node, news_here(request))
    client = common.client(options)
    made = client.provision(request)
    return findings(options.node, client.provision_news(made["id"]))


def findings(node: str, news: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the findings of a run of the preflight. Pure but for the news."""
    run: Mapping[str, Any] = {}
    told = failed = 0
    for one in news:
        run = one["run"]
        for event in one["events"]:
            if event["kind"] != "requirement" or event["outcome"] == "skipped":
                continue
            ok = event["outcome"] in {"ok", "changed"}
            told, failed = told + 1, failed + (not ok)
            yield _finding(event["task"], ok, "met" if ok else event["message"], "" if ok else _then(node))
    if run.get("refused"):
        raise BadInputError(run["refused"]["what"], run["refused"]["next"])
    # The last task of the role fails when a requirement did: that is told already.
    other = [one for one in run.get("failures") or [] if not (failed and one["role"] == "preflight")]
    for one in other:
        yield _finding(one["task"] or "preflight", False, one["message"], one["next"])
    if not other and not failed and run.get("state") != "succeeded":
        yield _finding(
            "preflight", False, run.get("note") or "it did not come to an end", "labq provision ls"
        )
    elif not told and not other:
        yield _finding("preflight", False, "the play states no requirement", "is the playbook labq's own?")


def _then(node: str) -> str:
    return f"see to that on {node}, then look again: labq doctor --node {node}"


def _finding(name: str, ok: bool, what: str, then: str) -> dict[str, Any]:
    return {"name": name, "ok": ok, "what": what, "next": then}
