"""Containers + leases + what is in work -> what is to be done."""

from hypothesis import given
from hypothesis import strategies as st

from labq_worker.reconcile import Adopt, Discard, Fence, Found, Recover, Working, plan_reconcile


def found(lease: str, status: str = "running", **more: bool) -> Found:
    """A container under a lease."""
    return Found(f"c-{lease}", lease, "7", 1, status, **more)


def test_nothing_to_do() -> None:
    assert plan_reconcile([found("a")], {"a": "7"}, [Working("a", "c-a")]) == ([], frozenset())


def test_a_container_that_nobody_follows_is_adopted_even_when_it_has_ended() -> None:
    for status in ("running", "exited", "created"):
        assert plan_reconcile([found("a", status)], {"a": "7"}, [])[0] == [Adopt(found("a", status))]


def test_a_lease_without_a_container_is_recovered() -> None:
    assert plan_reconcile([], {"a": "7"}, [])[0] == [Recover("a", "7")]
    assert plan_reconcile([], {"a": "7"}, [Working("a", "")])[0] == []


def test_leases_without_containers_are_recovered_in_order_of_arrival() -> None:
    actions, _ = plan_reconcile([], {"c": "10.2", "a": "9", "b": "10.10"}, [])
    assert actions == [Recover("a", "9"), Recover("c", "10.2"), Recover("b", "10.10")]


def test_a_container_without_a_lease_goes_at_once_at_the_start_and_on_the_second_sight_later() -> None:
    assert plan_reconcile([found("a")], {}, [], sure=True)[0] == [Discard(found("a"))]
    actions, missed = plan_reconcile([found("a")], {}, [])
    assert (actions, missed) == ([], frozenset({"a"}))
    assert plan_reconcile([found("a")], {}, [], missed)[0] == [Discard(found("a"))]
    assert plan_reconcile([found("a")], {"a": "7"}, [Working("a", "c-a")], missed) == ([], frozenset())


def test_what_is_followed_without_a_lease_is_fenced_unless_its_end_is_being_told() -> None:
    assert plan_reconcile([found("a")], {}, [Working("a", "c-a")], sure=True)[0] == [Fence("a")]
    assert plan_reconcile([found("a")], {}, [Working("a", "c-a", closing=True)], sure=True)[0] == []


def test_another_labs_container_is_left_alone_unless_our_store_leases_it() -> None:
    assert plan_reconcile([found("a", ours=False)], {}, [], sure=True)[0] == []
    assert plan_reconcile([found("a", ours=False)], {"a": "7"}, [])[0] == [Adopt(found("a", ours=False))]


def test_of_two_containers_under_one_lease_the_running_one_stays() -> None:
    running, dead = Found("c1", "a", "7", 1, "running"), Found("c2", "a", "7", 1, "created")
    assert plan_reconcile([dead, running], {"a": "7"}, [])[0] == [Adopt(running), Discard(dead)]
    assert plan_reconcile([dead, running], {"a": "7"}, [Working("a", "c1")])[0] == [Discard(dead)]


leases = st.sampled_from(["a", "b", "c"])


@given(
    st.sets(st.tuples(leases, st.sampled_from(["running", "exited", "created"])), max_size=4),
    st.dictionaries(leases, st.just("7")),
    st.sets(leases),
    st.booleans(),
)
def test_no_container_under_a_live_lease_is_ever_stopped_but_a_second_one(
    containers: set[tuple[str, str]], live: dict[str, str], working: set[str], sure: bool
) -> None:
    seen = [Found(f"{lease}-{status}", lease, "7", 1, status) for lease, status in containers]
    actions, _ = plan_reconcile(seen, live, [Working(lease, "") for lease in working], sure=sure)
    for lease in live:
        stopped = [a for a in actions if isinstance(a, Discard) and a.found.lease == lease]
        assert len(stopped) < max(1, sum(each.lease == lease for each in seen))
        assert Fence(lease) not in actions
    adopted = [a.found.lease for a in actions if isinstance(a, Adopt)]
    assert len(adopted) == len(set(adopted))
