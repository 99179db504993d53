"""Runs by the real ansible on this machine: how they end, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.provisioning import BIN, Lab
from support.waiting import wait_for

from labq.provision import RunState


def test_a_run_does_its_work_once_and_says_what_it_changed(lab: Lab) -> None:
    first = lab.ended(lab.ask("fine.yml"))
    assert (first.state, first.hosts, first.note, first.failures) == (RunState.SUCCEEDED, ("a", "b"), "", ())
    assert {host: (one.ok, one.changed, one.failed) for host, one in first.stats.items()} == {
        "a": (2, 1, 0),
        "b": (2, 1, 0),
    }
    assert (lab.scratch / "a.txt").read_text() == "one\ntwo\n"
    second = lab.ended(lab.ask("fine.yml"))
    assert [one.changed for one in second.stats.values()] == [0, 0]
    assert lab.has_event(first.id, kind="host", host="a", task="Write a file", outcome="changed")
    assert lab.has_event(second.id, kind="host", host="a", task="Write a file", outcome="ok")


def test_a_check_changes_nothing_and_tells_what_it_would(lab: Lab) -> None:
    run = lab.ended(lab.ask("fine.yml", check=True, diff=True, limit="a", tags=["files"]))
    assert (run.state, run.hosts, run.stats["a"].changed) == (RunState.SUCCEEDED, ("a",), 1)
    assert list(lab.scratch.iterdir()) == []
    (told,) = [e for e in lab.store.provision.events(run.id, 0, 100) if e["outcome"] == "changed"]
    assert "+one\n+two" in told["message"]


def test_a_task_that_fails_is_told_with_what_to_do_and_the_other_host_goes_on(lab: Lab) -> None:
    run = lab.ended(lab.ask("fails.yml"))
    assert run.state is RunState.FAILED
    (failure,) = run.failures  # what the play took care of itself is none
    assert (failure.host, failure.task) == ("b", "Ask for space")
    assert "No space left on device" in failure.message
    assert failure.next.startswith("make room on b")
    assert (run.stats["a"].failed, run.stats["b"].failed) == (0, 1)


def test_what_a_task_says_that_is_no_text_is_told_as_far_as_it_is(lab: Lab) -> None:
    run = lab.ended(lab.ask("binary.yml", limit="a"))
    assert (run.state, run.stats["a"].failed) == (RunState.FAILED, 1)
    (failure,) = run.failures
    assert "before" in failure.message
    assert "after" in failure.message
    assert "before" in (lab.root / "runs" / run.id / "log").read_text()


def test_nothing_is_taken_from_the_directory_in_which_the_service_was_started(
    idle_lab: Lab, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("labq.py", "labq_scheduler.py", "yaml.py"):
        (tmp_path / "elsewhere" / name).write_text("raise SystemExit('taken')")
    (tmp_path / "elsewhere" / "ansible.cfg").write_text("[defaults]\nforks = none\n")
    idle_lab.start(
        ["env", f"--chdir={tmp_path / 'elsewhere'}", str(BIN / "labq-provisioner")], ANSIBLE_FORKS="none"
    )
    try:
        assert idle_lab.ended(idle_lab.ask("fine.yml", limit="a")).state is RunState.SUCCEEDED
    finally:
        idle_lab.end(15)


def test_a_machine_that_does_not_answer_is_told_and_the_others_are_done(lab: Lab) -> None:
    here, gone = {"ansible_connection": "local"}, {"ansible_host": "127.0.0.1", "ansible_port": 1}
    lab.write_inventory({"a": here, "gone": gone})
    run = lab.ended(lab.ask("fine.yml"))
    assert run.state is RunState.FAILED
    assert (run.stats["gone"].unreachable, run.stats["a"].changed) == (1, 1)
    (failure,) = run.failures
    assert failure.host == "gone"
    assert "refused" in failure.message
    assert "is gone switched on" in failure.next


@pytest.mark.parametrize(
    ("more", "what", "then"),
    [
        ({"playbook": "fin.yml"}, "there is no playbook 'fin.yml'", "did you mean fine.yml?"),
        (
            {"limit": "c"},
            "the inventory has no host or group 'c'",
            "hosts: a, b; groups: all, gpu_nodes, ungrouped",
        ),
        ({"limit": "a:gpu_node"}, "no host or group 'gpu_node'", "did you mean gpu_nodes?"),
        ({"tags": ["file"]}, "fine.yml has no tag 'file'", "did you mean files? it has: files, looks"),
        ({"limit": "all:!gpu_nodes"}, "leaves no host", ""),
    ],
)
def test_what_there_is_not_is_refused_before_anything_runs(
    lab: Lab, more: dict[str, object], what: str, then: str
) -> None:
    run = lab.ended(lab.ask(**{"playbook": "fine.yml", **more}))  # type: ignore[arg-type]
    assert (run.state, run.started) == (RunState.FAILED, None)
    assert what in run.refused[0]
    assert then in run.refused[1]
    assert list(lab.scratch.iterdir()) == []


def test_a_cancelled_run_says_where_something_may_still_be_going_on(lab: Lab) -> None:
    run_id = lab.ask("slow.yml")
    lab.began(run_id, "Install something large")
    lab.store.provision.ask_to_cancel(run_id, "hana")
    run = lab.ended(run_id)
    assert run.state is RunState.CANCELLED
    assert "may still be going on" in run.note
    assert "on a: Install something large; on b: Install something large" in run.note
    assert lab.orderers(run_id) == []


def test_a_run_that_takes_too_long_is_ended(idle_lab: Lab) -> None:
    idle_lab.start(LABQ_PROVISION_TIMEOUT="6s")
    try:
        run = idle_lab.ended(idle_lab.ask("slow.yml", limit="a"))
    finally:
        (idle_lab.scratch / "go").touch()
        idle_lab.end(15)
    assert run.state is RunState.FAILED
    assert "longer than 6 s (LABQ_PROVISION_TIMEOUT)" in run.note


def test_a_second_run_on_a_host_waits_and_says_for_which_and_one_on_another_does_not(lab: Lab) -> None:
    first = lab.ask("slow.yml", limit="a")
    lab.began(first, "Install something large")
    second, third = lab.ask("fine.yml", limit="a,b"), lab.ask("fine.yml", limit="b")
    wait_for(lambda: lab.get(second).waits_for == (first,), 30, "the second to wait", hint=lab.tail)
    assert lab.get(second).state is RunState.QUEUED
    assert lab.has_event(
        second, kind="say", message=f"a is being worked on by run {first}; this one waits for that"
    )
    assert lab.ended(third).state is RunState.SUCCEEDED
    (lab.scratch / "go").touch()
    assert (lab.ended(first).state, lab.ended(second).state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)


def test_a_run_that_waits_is_cancelled_without_having_done_anything(lab: Lab) -> None:
    first = lab.ask("slow.yml", limit="a")
    lab.began(first, "Install something large")
    second = lab.ask("fine.yml", limit="a")
    wait_for(lambda: lab.get(second).waits_for, 30, "the second to wait", hint=lab.tail)
    lab.store.provision.ask_to_cancel(second, "hana")
    assert lab.ended(second).state is RunState.CANCELLED
    assert not (lab.scratch / "a.txt").exists()


def test_a_node_is_added_to_the_inventory_and_removed_from_it(lab: Lab) -> None:
    said = {"name": "c", "labels": {"rack": "r1"}}
    lab.write_inventory({"a": {"ansible_connection": "local"}})
    (lab.root / "inventory" / "host_vars").mkdir()
    (lab.root / "inventory" / "host_vars" / "c.yml").write_text("ansible_connection: local\n")
    added = lab.ended(lab.ask("", host=said))
    assert (added.state, added.hosts) == (RunState.SUCCEEDED, ("c",)), added
    assert (lab.scratch / "c.labels").read_text() == '{"rack": "r1"}\n'
    file = lab.root / "inventory" / "nodes" / "c.yml"
    assert "rack" in file.read_text()
    again = lab.ended(lab.ask("", host=said))
    assert (again.state, again.stats["c"].changed) == (RunState.SUCCEEDED, 0)
    other = lab.ended(lab.ask("", host={"name": "c", "labels": {"rack": "r2"}}))
    assert "is in the inventory with labq_node_labels {'rack': 'r1'}, not {'rack': 'r2'}" in other.refused[0]
    removed = lab.ended(lab.ask("remove_node.yml", limit="c"))
    assert removed.state is RunState.SUCCEEDED
    assert "c is out of the inventory" in removed.note
    assert not file.exists()
    assert not (lab.scratch / "c.labels").exists()
