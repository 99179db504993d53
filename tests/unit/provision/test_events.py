"""What is told of ansible's events, and what of them counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labq.provision import RunEvent, RunState
from labq_scheduler.provision.events import HIDDEN, MOST, bounded, diff_text, event_line, read_event
from labq_scheduler.provision.remedy import TABLE, remedy
from labq_scheduler.provision.tally import Tally, judge, still_running

SECRET = "s3cret-7781"


def body(kind: str = "runner_on_ok", **data: Any) -> dict[str, Any]:
    return {"event": kind, "event_data": {"host": "a", "task": "T", "role": "r", "duration": 1.234, **data}}


def told(kind: str = "runner_on_ok", *, diff: bool = False, **data: Any) -> RunEvent:
    found = read_event(body(kind, **data), now=5.0, diff=diff)
    assert found is not None
    return found


def test_outcomes_are_told_in_one_word() -> None:
    assert told().outcome == "ok"
    assert told(res={"changed": True}).outcome == "changed"
    assert told("runner_on_failed", res={"msg": "no"}).outcome == "failed"
    assert told("runner_on_failed", res={"msg": "no"}, ignore_errors=True).outcome == "ignored"
    assert told("runner_on_unreachable", res={"msg": "gone"}).outcome == "unreachable"
    assert told("runner_on_skipped").outcome == "skipped"
    assert read_event({"event": "runner_on_start", "event_data": {}}, now=0.0, diff=False) is None
    assert (told().host, told().role, told().task, told().seconds) == ("a", "r", "T", 1.23)


def test_results_are_told_only_when_they_failed_or_as_a_diff() -> None:
    assert told(res={"stdout": "much", "msg": "fine"}).message == ""
    change = {"changed": True, "diff": [{"before": "a\n", "after": "b\n", "after_header": "/etc/x"}]}
    assert told(res=change).message == ""
    assert "-a\n+b" in told(res=change, diff=True).message


def test_what_a_play_says_by_debug_is_told_to_people_and_nothing_of_it_that_is_hidden() -> None:
    action = "ansible.builtin.debug"
    one = told(task_action=action, res={"msg": "a waits for job 7"})
    assert (one.kind, one.host, one.message) == ("say", "a", "a waits for job 7")
    assert told(task_action=action, res={"msg": ["two", "lines"]}).message == "two; lines"
    items = {
        "results": [{"msg": "x"}, {"msg": SECRET, "_ansible_no_log": True}, {"msg": "y"}],
        "msg": "All items completed",
    }
    assert told(task_action=action, res=items).message == "x; y"
    hidden = told(task_action=action, res={"censored": "the output has been hidden"})
    assert (hidden.kind, hidden.message) == ("host", "")
    assert told(task_action="ansible.builtin.command", res={"msg": "much"}).kind == "host"


def test_a_failure_says_message_and_the_end_of_what_the_program_wrote() -> None:
    said = told(
        "runner_on_failed", res={"msg": "non-zero return code", "stderr": "x" * 5000 + " the end"}
    ).message
    assert said.startswith("non-zero return code\n")
    assert said.endswith(" the end")
    assert len(said) <= MOST
    items = {"msg": "One or more items failed", "results": [{"msg": "ok"}, {"failed": True, "msg": "bad b"}]}
    assert told("runner_on_failed", res=items).message == "bad b"


@given(
    st.sampled_from(["runner_on_failed", "runner_on_unreachable", "runner_on_ok"]),
    st.booleans(),
    st.sampled_from([
        {"censored": "the output has been hidden", "msg": SECRET},
        {"_ansible_no_log": True, "stderr": SECRET, "msg": SECRET, "diff": {"before": "", "after": SECRET}},
        {"msg": "items", "results": [{"failed": True, "_ansible_no_log": True, "msg": SECRET}]},
        {"msg": "items", "results": [{"failed": True, "censored": "hidden", "stdout": SECRET, "diff": {"after": SECRET}}]},
    ]),
)  # fmt: skip
def test_nothing_of_a_task_with_no_log_is_told(kind: str, diff: bool, res: dict[str, Any]) -> None:
    event = told(kind, diff=diff, res=res)
    assert SECRET not in event_line(event)
    if kind != "runner_on_ok":
        assert event.message == HIDDEN


def test_requirements_of_the_preflight_are_told_by_name() -> None:
    event = told(role="preflight", task="Requirement: Debian 12")
    assert (event.kind, event.task) == ("requirement", "Debian 12")
    assert told(role="preflight", task="Look").kind == "host"


@given(st.text(max_size=300), st.integers(40, 100))
def test_texts_are_bounded_and_keep_both_ends(text: str, most: int) -> None:
    found = bounded(text, most)
    assert len(found) <= most
    assert found == text or (text.startswith(found[: most // 2]) and text.endswith(found[-10:]))


def test_a_diff_of_nothing_is_nothing() -> None:
    assert diff_text({"diff": {"before": "a", "after": "a"}}) == ""
    assert diff_text({}) == ""
    assert diff_text({"diff": {"before": {"mode": "0600"}, "after": {"mode": "0644"}}}).endswith(
        "-mode: 0600\n+mode: 0644"
    )


def tally_of(*events: RunEvent) -> Tally:
    tally = Tally(["a", "b", "c"], "/lab")
    for event in events:
        tally.take(event)
    return tally


def test_what_may_be_going_on_is_the_task_that_began_where_no_end_was_heard_of() -> None:
    assert tally_of().busy() == {}
    begun = RunEvent(0, "task", role="docker", task="Install")
    lost = RunEvent(0, "host", "c", "base", "Look", "unreachable", 1, "gone")
    tally = tally_of(lost, begun, RunEvent(0, "host", "a", "docker", "Install", "changed", 2))
    assert tally.busy() == {"b": "docker : Install"}
    assert still_running(tally.busy()) == (
        "What had begun there may still be going on, and ends by itself: on b: docker : Install."
    )
    assert still_running({}) == ""


def test_changes_are_counted_by_ansible_and_failures_that_were_rescued_are_none() -> None:
    fell = RunEvent(0, "host", "a", "r", "Fall", "failed", 1, "no")
    died = RunEvent(0, "host", "a", "r", "Die", "failed", 1, "no")
    said = {
        "processed": {"a": 1},
        "ok": {"a": 3},
        "changed": {"a": 2},
        "failures": {"a": 1},
        "rescued": {"a": 1},
    }
    tally = tally_of(fell, died)
    stats = tally.stats(said)
    assert (stats["a"].ok, stats["a"].changed, stats["a"].failed, stats["a"].seconds) == (3, 2, 1, 2.0)
    assert [one.task for one in tally.failures(said)] == ["Die"]
    assert [one.task for one in tally.failures(None)] == ["Fall", "Die"]


def test_a_run_has_succeeded_only_if_ansible_says_so_and_no_host_failed() -> None:
    fine, bad = (
        tally_of().stats({"processed": {"a": 1}, "ok": {"a": 1}}),
        tally_of().stats({"processed": {"a": 1}, "dark": {"a": 1}}),
    )
    assert judge(0, "successful", fine) is RunState.SUCCEEDED
    assert judge(0, "successful", bad) is RunState.FAILED
    assert judge(4, "failed", fine) is RunState.FAILED
    assert judge(254, "canceled", fine) is RunState.CANCELLED
    assert judge(254, "timeout", fine) is RunState.FAILED


@pytest.mark.parametrize(
    ("role", "task", "message", "then"),
    [
        ("", "Gather", "ssh: connect to host n port 22: Connection refused", "is n switched on"),
        ("", "Gather", "@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@", "labq node add n --new-key"),
        (
            "",
            "Gather",
            "root@n: Permission denied (publickey).",
            "ssh-copy-id -i /lab/ssh/id_ed25519.pub USER@n",
        ),
        ("docker", "Install", "Could not get lock /var/lib/dpkg/lock", "another apt runs on n"),
        (
            "base",
            "Validating arguments against arg spec 'main'",
            "uid is of type str",
            "mend the variable in /lab/inventory",
        ),
        ("preflight", "All requirements are met", "Python 3.9", "labq doctor --node n"),
        ("labq_worker", "Wait until the node is seen alive", "no", "journalctl -u labq-worker"),
        ("backup", "Copy", "strange", "labq provision --limit n --tags backup"),
    ],
)
def test_a_failure_comes_with_what_to_do(role: str, task: str, message: str, then: str) -> None:
    assert then in remedy("n", role, task, message, "/lab")


def test_every_row_of_the_table_can_be_filled_in() -> None:
    assert all(row.next.format(host="h", role="r", lab="/l") for row in TABLE)
    assert all(row.message or row.role or row.task for row in TABLE)
