"""What is said of what happened: one neutral message, which channels write in their own ways. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labq.ending import EndReason
from labq.links import grafana_job
from labq.units import about_bytes, about_duration
from labq_scheduler.notify.news import News

#: Rows of a table; the rest is counted.
MOST_ROWS = 20


@dataclass(frozen=True, slots=True)
class Places:
    """Addresses for people's browsers; "" = there is none. The server's own pages want a token, which no browser has."""

    grafana: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; nothing in it is escaped yet."""

    headline: str
    sentence: str = ""
    #: label and value
    facts: tuple[tuple[str, str], ...] = ()
    #: of the log of this job and attempt, the last lines belong to it
    log_of: tuple[str, int] | None = None
    log: tuple[str, ...] = ()
    #: first row = the heads
    table: tuple[tuple[str, ...], ...] = ()
    #: what is below the table
    remark: str = ""
    #: what to type for more
    hint: str = ""
    #: label and URL
    links: tuple[tuple[str, str], ...] = ()
    #: for whom it is, where others read it, too; "" = only they do
    whom: str = ""
    #: "cancel" and "keep" with the id of the job
    buttons: tuple[tuple[str, str], ...] = ()


def message(news: Sequence[News], total: int, places: Places, now: float) -> Message:
    """Return what is said of one or several things that happened.

    Args:
        news: at least one.
        total: how many there are; those that are not in ``news`` are only counted.
        places: for links.
        now: when it is said, seconds since the epoch; long after it happened, when it was held in quiet hours.
    """
    if len(news) == 1 and total == 1:
        return _one(news[0], places, now)
    return _digest(news, total, places, now)


def _one(news: News, places: Places, now: float) -> Message:
    match news.kind:
        case "test":
            return Message("labq can reach you", "This is what `labq notify test` sends. Nothing happened.")
        case "array":
            return _array(news, places)
        case "idle":
            return _idle(news, places, now)
    told = f"{_title(news)} {_did(news)}"
    failed = news.kind in {"failed", "requeued"} and news.duration is not None
    rest = (
        "The rest of the array goes on; the next message comes at its end."
        if news.array and news.kind == "failed"
        else ""
    )
    return Message(
        told,
        news.sentence,
        _facts(news),
        log_of=(news.job, news.attempt) if failed else None,
        remark=rest,
        hint=f"labq logs {news.job}" if news.duration is not None else f"labq show {news.job}",
        links=_links(news, places),
    )


def _idle(news: News, places: Places, now: float) -> Message:
    held = f" for {about_duration(news.duration)}" if news.duration else ""
    what, them = ("its GPU", "it") if news.gpus == 1 else (f"its {news.gpus} GPUs", "them")
    last = " This is the last warning." if news.stage > 1 else ""
    return Message(
        f"{_title(news)} does not use {what}",
        f"It has held {what}{held} without using {them}; others may wait for {them}.{_ends(news, now)}{last}",
        _facts(news, running=True),
        hint=f"labq keep {news.job}, or labq cancel {news.job}",
        links=_links(news, places),
        buttons=(("cancel", news.job), ("keep", news.job)),
    )


def _ends(news: News, now: float) -> str:
    if news.ends_at is None:
        return ""
    left = news.ends_at - now
    # To the minute: nobody reads it in the second in which it is written.
    when = "now" if left < 1 else f"in {about_duration(round(left / 60) * 60 if left > 90 else left)}"
    return f" It is ended {when} if it goes on like this."


def _array(news: News, places: Places) -> Message:
    counts = dict(news.counts)
    total = sum(counts.values())
    told = ", ".join(f"{counts[s]} {s}" for s in ("succeeded", "failed", "cancelled") if counts.get(s))
    left = total - len(news.rows)
    return Message(
        f"Array {news.job} {news.name} is over: {told}",
        facts=_facts(news),
        table=_table(news.rows),
        remark=f"and {left} more" if left > 0 else "",
        hint=f"labq show {news.job}",
        links=_links(news, places),
    )


def _digest(news: Sequence[News], total: int, places: Places, now: float) -> Message:
    counts = Counter(one.kind for one in news)
    order = ("failed", "cancelled", "requeued", "waiting", "idle", "succeeded", "array")
    words = {"array": "arrays over", "idle": "idle"}
    told = ", ".join(f"{counts[kind]} {words.get(kind, kind)}" for kind in order if counts[kind])
    names = {one.name for one in news}
    # Of very many only some are at hand; the others are counted.
    told = told if total == len(news) else f"the first {len(news)}: {told}"
    what = f"{total} jobs named {news[0].name}" if len(names) == 1 else f"{total} things happened"
    listed = sorted(news, key=lambda one: order.index(one.kind) if one.kind in order else 9)[:MOST_ROWS]
    rows = [
        (one.job, one.kind, -1.0 if one.duration is None else one.duration, _short(one, now))
        for one in listed
    ]
    left = total - len(rows)
    return Message(
        f"{what}: {told}",
        table=_table(rows, names={one.job: one.name for one in listed} if len(names) > 1 else None),
        remark=f"and {left} more" if left > 0 else "",
        hint="labq ls --state ended",
        links=(("My jobs", grafana_job(places.grafana, news[0].owner, "")),) if places.grafana else (),
    )


def _short(news: News, now: float) -> str:
    if news.kind == "idle":
        return f"Does not use its GPUs.{_ends(news, now)}"
    if news.kind == "array":
        return ", ".join(f"{count} {state}" for state, count in news.counts)
    return news.sentence


def _table(
    rows: Sequence[tuple[str, str, float, str]], names: Mapping[str, str] | None = None
) -> tuple[tuple[str, ...], ...]:
    head = ("JOB", *(("NAME",) if names is not None else ()), "STATE", "RAN", "WHAT")
    body = [
        (job, *((names[job],) if names is not None else ()), state, about_duration(ran) if ran >= 0 else "-", text)
        for job, state, ran, text in rows
    ]  # fmt: skip
    return (head, *body)


def _title(news: News) -> str:
    return f"Job {news.job} {news.name}" if news.name else f"Job {news.job}"


def _did(news: News) -> str:
    match news.kind:
        case "requeued":
            why = {
                EndReason.PREEMPTED: "was preempted and waits again",
                EndReason.NODE_LOST: "lost its node and waits again",
                EndReason.GPU_LOST: "lost its GPU and waits again",
            }
            return next(
                (text for reason, text in why.items() if reason == news.reason), "failed and runs again"
            )
        case "waiting":
            return "waits for something that you can mend"
        case "cancelled":
            return "was cancelled"
        case _:
            return news.kind


def _facts(news: News, *, running: bool = False) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    if news.duration is not None and not running:
        found.append(("Ran", about_duration(news.duration)))
    if news.waited is not None:
        found.append(("Waited", about_duration(news.waited)))
    if where := _where(news):
        found.append(("GPUs" if news.gpus else "Node", where))
    if news.peak:
        asked = f" of {about_bytes(news.memory)}" if news.memory else ""
        found.append(("Peak memory", f"{news.peak}{asked}"))
    if news.attempt > 1:
        found.append(("Attempt", str(news.attempt)))
    return tuple(found)


def _where(news: News) -> str:
    if not news.gpus:
        return news.node
    counts = Counter(model.removeprefix("NVIDIA ").removeprefix("GeForce ") for model in news.models)
    names = ", ".join(f"{count} × {model}" for model, count in counts.items()) or str(news.gpus)
    simulated = " (simulated)" if news.simulated else ""
    return f"{names}{simulated} on {news.node}" if news.node else f"{names}{simulated}"


def _links(news: News, places: Places) -> tuple[tuple[str, str], ...]:
    found = []
    if places.grafana:
        begin, end = (None, None) if news.duration is None else (news.at - news.duration, news.at)
        found.append(("Grafana", grafana_job(places.grafana, news.owner, news.job, begin, end)))
    return tuple(found)
