"""What people read: sentences, Slack's limits and escapes, mail, tables, the end of a log."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labq.ending import EndReason
from labq.links import grafana_job
from labq_scheduler.notify.blocks import BLOCKS, HEADER, SECTION, blocks, escape, table_text
from labq_scheduler.notify.message import Message, Places, message
from labq_scheduler.notify.news import News
from labq_scheduler.notify.plain import body, subject, text
from labq_scheduler.notify.tail import LINES, WIDTH, shown

PLAIN = News(
    kind="failed", events=("failed",), owner="ann", at=5000.0, job="12", name="train", sentence="Failed: exit code 1.",
    reason="exit_code", attempt=1, duration=3725.0, waited=61.0, gpus=2, models=("NVIDIA A100", "NVIDIA A100"), node="n1",
    peak="12GB", memory=32 * 2**30,
)  # fmt: skip


def one(**changes: Any) -> Message:
    return message([replace(PLAIN, **changes)], 1, Places(), PLAIN.at)


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({}, "Job 12 train failed"),
        ({"kind": "succeeded"}, "Job 12 train succeeded"),
        ({"kind": "cancelled"}, "Job 12 train was cancelled"),
        ({"kind": "requeued", "reason": EndReason.PREEMPTED}, "Job 12 train was preempted and waits again"),
        ({"kind": "requeued", "reason": EndReason.NODE_LOST}, "Job 12 train lost its node and waits again"),
        ({"kind": "requeued", "reason": EndReason.GPU_LOST}, "Job 12 train lost its GPU and waits again"),
        ({"kind": "requeued", "reason": EndReason.EXIT_CODE}, "Job 12 train failed and runs again"),
        ({"kind": "requeued", "reason": "of a newer labq"}, "Job 12 train failed and runs again"),
        ({"kind": "waiting"}, "Job 12 train waits for something that you can mend"),
        ({"kind": "idle"}, "Job 12 train does not use its 2 GPUs"),
        ({"kind": "idle", "gpus": 1}, "Job 12 train does not use its GPU"),
        ({"kind": "test"}, "labq can reach you"),
        (
            {"kind": "array", "counts": (("failed", 1), ("succeeded", 3))},
            "Array 12 train is over: 3 succeeded, 1 failed",
        ),
    ],
)
def test_each_kind_has_its_headline(changes: dict[str, Any], headline: str) -> None:
    assert one(**changes).headline == headline


def test_facts_are_there_when_they_are_known_and_left_out_when_not() -> None:
    assert one().facts == (
        ("Ran", "1h02m"), ("Waited", "1m01s"), ("GPUs", "2 × A100 on n1"), ("Peak memory", "12GB of 32GB"),
    )  # fmt: skip
    bare = one(duration=None, waited=None, gpus=0, models=(), node="", peak="", memory=None)
    assert bare.facts == ()
    assert one(models=(), attempt=3, simulated=True).facts[2:] == (
        ("GPUs", "2 (simulated) on n1"), ("Peak memory", "12GB of 32GB"), ("Attempt", "3"),
    )  # fmt: skip


def test_the_log_is_shown_of_what_failed_and_ran_only() -> None:
    assert one().log_of == ("12", 1)
    assert one(kind="requeued", attempt=2).log_of == ("12", 2)
    assert one(kind="succeeded").log_of is None
    assert one(duration=None).log_of is None


@pytest.mark.parametrize(
    ("late", "said"),
    [
        (0.0, "It is ended in 9h00m if"),
        (8 * 3600.0, "It is ended in 1h00m if"),
        (8 * 3600.0 + 3541.0, "It is ended in 59s if"),
        (9 * 3600.0, "It is ended now if"),
    ],
)
def test_when_an_idle_job_is_ended_counts_from_when_its_owner_reads_it(late: float, said: str) -> None:
    idle = replace(PLAIN, kind="idle", ends_at=PLAIN.at + 9 * 3600, stage=1)
    assert said in message([idle], 1, Places(), PLAIN.at + late).sentence
    two = message([idle, PLAIN], 2, Places(), PLAIN.at + late)
    assert [said in row[-1] for row in two.table[1:]] == [False, True]


def test_what_others_read_says_for_whom_it_is() -> None:
    shared = replace(one(), whom="ann")
    (below,) = (block for block in blocks(shared, buttons=False)[1] if block["type"] == "context")
    assert below["elements"][0]["text"].startswith("For ann")
    assert "Sent for ann" in text(shared)
    assert body("id", [PLAIN], 1, shared)["for"] == "ann"
    assert "For " not in str(blocks(one(), buttons=False))


def test_a_link_never_leads_to_a_page_that_wants_a_token() -> None:
    assert (one().links, one().hint) == ((), "labq logs 12")


def test_links_are_made_of_what_is_set_up_and_quoted() -> None:
    places = Places("https://g.lab/grafana")
    links = message([replace(PLAIN, owner="a&b", job="12.3")], 1, places, PLAIN.at).links
    assert links == (
        (
            "Grafana",
            grafana_job("https://g.lab/grafana", "a&b", "12.3", PLAIN.at - (PLAIN.duration or 0), PLAIN.at),
        ),
    )
    assert one().links == ()


def test_many_things_are_counted_and_listed_failures_first() -> None:
    many = [replace(PLAIN, kind="succeeded", job=str(i), sentence="Fine.") for i in range(30)]
    found = message([*many, PLAIN], 31, Places(), PLAIN.at)
    assert found.headline == "31 jobs named train: 1 failed, 30 succeeded"
    assert found.table[1] == ("12", "failed", "1h02m", "Failed: exit code 1.")
    assert (len(found.table), found.remark) == (21, "and 11 more")
    mixed = message([PLAIN, replace(PLAIN, name="eval", kind="idle")], 2, Places(), PLAIN.at)
    assert mixed.headline == "2 things happened: 1 failed, 1 idle"
    assert mixed.table[0] == ("JOB", "NAME", "STATE", "RAN", "WHAT")


def test_a_digest_of_more_than_is_kept_counts_what_is_not() -> None:
    found = message([PLAIN] * 500, 700, Places(), PLAIN.at)
    assert found.headline == "700 jobs named train: the first 500: 500 failed"
    assert (found.remark, found.hint) == ("and 680 more", "labq ls --state ended")


@given(st.text(max_size=400), st.integers(min_value=2, max_value=300))
def test_escaped_text_is_short_enough_means_the_same_and_holds_no_markup(said: str, most: int) -> None:
    found = escape(said, most)
    assert len(found) <= most
    assert "<" not in found
    assert ">" not in found
    back = html.unescape(found)
    if not found.endswith("…") or said.endswith("…"):
        assert all(c in said for c in back)
    for at, character in enumerate(found):
        if character == "&":  # an entity, whole
            assert found[at:].startswith(("&amp;", "&lt;", "&gt;"))


@pytest.mark.parametrize(
    ("said", "most", "found"),
    [
        ("<!channel>", 100, "&lt;!channel&gt;"),
        ("&amp;", 100, "&amp;amp;"),
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("a<<<", 6, "a&lt;…"),
        ("a\x00\x1b[31m\u202eb\u200b", 100, "a[31mb"),
    ],
)
def test_escape(said: str, most: int, found: str) -> None:
    assert escape(said, most) == found


@given(st.text(max_size=300), st.lists(st.tuples(st.text(max_size=50), st.text(max_size=3000)), max_size=15))
def test_blocks_stay_inside_slacks_limits_whatever_is_said(said: str, facts: list[tuple[str, str]]) -> None:
    made = Message(
        said * 5, said * 40, tuple(facts), log=(said,) * 15, table=(("A", "B"), *([(said, said)] * 60)), remark=said,
        hint=said, links=(("Logs", "https://x/" + "y" * len(said)),), buttons=(("cancel", "1"), ("keep", "1")),
    )  # fmt: skip
    fallback, found = blocks(made, buttons=True)
    assert len(fallback) <= SECTION
    assert len(found) <= BLOCKS
    assert 0 < len(found[0]["text"]["text"]) <= HEADER
    assert "mrkdwn" not in str([block["type"] for block in found]) + str(
        [block.get("text", {}).get("type") for block in found]
    )
    for block in found:
        for field in block.get("fields", ()):
            assert 0 < len(field["text"]) <= 2000
        if block["type"] == "section" and "text" in block:
            assert 0 < len(block["text"]["text"]) <= SECTION


def test_buttons_are_left_out_when_nobody_listens() -> None:
    idle = one(kind="idle")
    assert [block["type"] for block in blocks(idle, buttons=False)[1]][-1] != "actions"
    assert [each["action_id"] for each in blocks(idle, buttons=True)[1][-1]["elements"]] == [
        "labq_cancel",
        "labq_keep",
    ]


def test_a_table_has_straight_columns_of_one_line_each() -> None:
    found = table_text([("JOB", "WHAT"), ("1", "a\nb\tc"), ("1000", "x" * 200)]).splitlines()
    assert found[:2] == ["JOB   WHAT", "1     a b c"]
    assert len(found[2]) == 6 + 80


def test_a_subject_is_one_line() -> None:
    assert subject(Message("Job 1 a\r\nBcc: x@y.z failed")) == "[labq] Job 1 aBcc: x@y.z failed".replace(
        "aBcc", "a Bcc"
    )
    assert len(subject(Message("x" * 500))) == 150


def test_a_letter_says_what_the_message_says() -> None:
    said = text(replace(one(), log=("line 1", "line 2"), links=(("Logs", "https://x/1"),)))
    for part in (
        "Failed: exit code 1.",
        "Ran: 1h02m",
        "    line 2",
        "More: labq logs 12",
        "Logs: https://x/1",
    ):
        assert part in said


def test_a_webhook_has_facts_for_programs() -> None:
    made = body("event-1", [PLAIN], 1, one())
    assert made["text"] == "Job 12 train failed: Failed: exit code 1."
    assert made["jobs"][0]["at"] == "1970-01-01T01:23:20.000Z"


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\nb\n", ("a", "b")),
        (b"", ()),
        (b"\n\n", ()),
        (b"10%\r50%\r99%\n", ("99%",)),
        (b"one\r\ntwo\r\n", ("one", "two")),
        (b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07x\xff\n", ("red x\ufffd",)),
        (b"x" * 1000, ("x" * WIDTH,)),
        (b"".join(b"%d\n" % i for i in range(100)), tuple(str(i) for i in range(100 - LINES, 100))),
    ],
)
def test_the_end_of_a_log_is_what_a_terminal_would_show(data: bytes, lines: tuple[str, ...]) -> None:
    assert shown(data) == lines
