"""A message as text for mail, and as JSON for webhooks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labq.clock import rfc3339
from labq_scheduler.notify.blocks import clean, table_text
from labq_scheduler.notify.message import Message
from labq_scheduler.notify.news import News

#: Characters of a subject line; RFC 5322 wants lines of at most 998.
SUBJECT = 150


def subject(message: Message) -> str:
    """Return the subject of a mail: one line, whatever the name of the job is."""
    return f"[labq] {' '.join(clean(message.headline).split())}"[:SUBJECT]


def text(message: Message) -> str:
    """Return the body of a mail."""
    parts = [message.headline, message.sentence]
    parts.append("\n".join(f"{label}: {value}" for label, value in message.facts))
    parts.append(table_text(message.table, 20_000) if message.table else "")
    if message.log:
        parts.append("The last lines of its log:\n" + "\n".join("    " + line for line in message.log))
    parts.append(message.remark)
    parts.append(f"More: {message.hint}" if message.hint else "")
    parts += [f"{label}: {url}" for label, url in message.links]
    parts.append(f"Sent for {message.whom}, who chose this address (labq notify)." if message.whom else "")
    return clean("\n\n".join(part for part in parts if part)) + "\n"


def body(notice_id: str, news: Sequence[News], total: int, message: Message) -> dict[str, Any]:
    """Return what a webhook is sent: the sentence for people, the facts for programs."""
    return {
        "id": notice_id,
        "for": message.whom,
        "text": clean(f"{message.headline}: {message.sentence}" if message.sentence else message.headline),
        "total": total,
        "jobs": [
            {
                "kind": one.kind,
                "job": one.job,
                "name": one.name,
                "owner": one.owner,
                "at": rfc3339(one.at),
                "reason": one.reason or None,
                "sentence": one.sentence,
                "attempt": one.attempt,
                "duration": one.duration,
                "waited": one.waited,
                "node": one.node or None,
                "gpus": one.gpus,
                "counts": dict(one.counts) or None,
            }
            for one in news
        ],
        "log": list(message.log),
    }
