"""What people and groups may hold at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from builders import GB, holding_job, make_job, make_node, make_snapshot
from hypothesis import given
from hypothesis import strategies as st

from labq.job import GpuHold
from labq_scheduler.decide import decide
from labq_scheduler.policy import rules as site
from labq_scheduler.policy.caps import Caps, never
from labq_scheduler.policy.rules import Rules

pytestmark = pytest.mark.unit

PEOPLE = ("ann", "bob", "carl", "dan")
caps = st.builds(
    site.Caps,
    gpus=st.none() | st.sampled_from([0.0, 0.5, 1.0, 2.5, 6.0]),
    jobs=st.none() | st.integers(0, 5),
)
rules = st.builds(
    Rules,
    groups=st.dictionaries(st.sampled_from(PEOPLE), st.sampled_from(["g", "h"])),
    cap=caps,
    caps=st.dictionaries(st.sampled_from(PEOPLE), caps),
    group_caps=st.dictionaries(st.sampled_from(["g", "h"]), caps),
)
starts = st.lists(
    st.tuples(st.sampled_from(PEOPLE), st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, 4.0])), max_size=40
)


@given(rules, starts)
def test_nobody_is_ever_over_a_cap(lab: Rules, wanted: list[tuple[str, float]]) -> None:
    counted = Caps(lab, {}, {})
    gpus: Counter[str] = Counter()
    jobs: Counter[str] = Counter()
    for owner, asked in wanted:
        if counted.reached(owner, asked) is None:
            counted.started(owner, asked)
            for name in (owner, "@" + lab.groups.get(owner, "")):
                gpus[name] += asked  # type: ignore[assignment]
                jobs[name] += 1
    for name, held in gpus.items():
        cap = lab.group_caps.get(name[1:], site.Caps()) if name[0] == "@" else lab.cap_of(name)
        assert cap.gpus is None or held <= cap.gpus + 1e-6
        assert cap.jobs is None or jobs[name] <= cap.jobs


@given(rules, starts)
def test_a_refusal_has_a_reason_that_is_true_and_what_never_may_start_never_does(
    lab: Rules, wanted: list[tuple[str, float]]
) -> None:
    counted = Caps(lab, {}, {})
    for owner, asked in wanted:
        said = counted.reached(owner, asked)
        if never(lab, owner, asked) is not None:
            assert said is not None
        elif Caps(lab, {}, {}).reached(owner, asked) is not None:
            pytest.fail("it could not start in an empty lab, and never() does not know")
        if said is None:
            counted.started(owner, asked)


def test_what_is_held_now_counts() -> None:
    lab = Rules(
        cap=site.Caps(gpus=2.0, jobs=3),
        groups={"ann": "g", "bob": "g"},
        group_caps={"g": site.Caps(gpus=3.0)},
    )
    held = Caps(lab, {"ann": 1.0, "bob": 1.5}, {"ann": 1, "bob": 3})
    assert held.reached("ann", 0.5) is None
    most = "the lab's rules allow"
    assert held.reached("ann", 1.0) == f"the group g holds 2.5 GPUs, and {most} 3 at once: 1 more is too many"
    assert held.reached("ann", 1.5) == f"ann holds 1 GPU, and {most} 2 at once: 1.5 more are too many"
    assert held.reached("bob", 0.0) == "bob holds 3 running jobs, and the lab's rules allow 3 at once"
    assert held.reached("carl", 2.0) is None


def test_who_is_capped_blocks_nobody_and_is_told() -> None:
    lab = Rules(cap=site.Caps(gpus=1.0))
    jobs = [make_job("1", gpus="1"), make_job("2", gpus="1"), make_job("3", gpus="4")]
    running = [holding_job("9", "n1", "n1-0")]
    snapshot = make_snapshot(jobs, [make_node("n1", gpus=8)], running=running)
    found = decide(snapshot, lab)
    assert (found.starts, found.reservation) == ((), None)
    assert set(found.said.values()) == {"ann holds 1 GPU, and the lab's rules allow 1 at once"}


def test_shares_that_fill_a_cap_to_the_last_byte_start() -> None:
    held = holding_job("9", "n1", "n1-0")
    held = replace(
        held, gpus=(GpuHold("n1-0", 16 * GB),)
    )  # 2/3 of a card; what counts fractions rounds it up
    snapshot = make_snapshot(
        [make_job("1", gpus="share:8GB"), make_job("2", gpus="share:8GB")],
        [make_node(gpus=2)],
        running=[held],
    )
    found = decide(snapshot, Rules(cap=site.Caps(gpus=1.0)))
    assert [start.job.id for start in found.starts] == ["1"]
