"""What `labq provision` shows: pure parts."""

from __future__ import annotations

import io
from typing import Any

import pytest

from labq import cli
from labq.cli.checkup_node import findings
from labq.cli.provision_here import told_here
from labq.cli.provisioning import Display
from labq.cli.render.provision import Progress, difference, plain, runs_text, summary


def event(
    kind: str = "host", host: str = "", task: str = "Install", outcome: str = "", **more: Any
) -> dict[str, Any]:
    return {"n": 1, "at": "", "kind": kind, "host": host, "role": "docker", "task": task, "outcome": outcome,
            "seconds": 0.0, "message": "", **more}  # fmt: skip


def a_run(**more: Any) -> dict[str, Any]:
    return {
        "id": "7", "playbook": "site.yml", "limit": "", "tags": [], "check": False, "diff": False, "host": None,
        "dead": False, "by": "hana", "state": "running", "created": "2026-11-21T01:00:00.000Z",
        "started": "2026-11-21T01:00:01.000Z", "ended": None, "waits_for": [], "hosts": ["n1", "n2"], "stats": {},
        "failures": [], "note": "", "refused": None, **more,
    }  # fmt: skip


def test_a_line_of_a_host_says_counts_and_what_is_being_done() -> None:
    progress = Progress()
    assert progress.picture(80, 10, colours=False) == ["asks ansible what is meant …"]
    progress.run = a_run()
    progress.take(event("task"))
    progress.take(event(host="n1", outcome="changed"))
    assert progress.picture(80, 10, colours=False) == [
        "n1  ok   1  changed   1  (docker : Install)",
        "n2  ok   0  changed   0  docker : Install",
    ]
    progress.take(event("task", task="Start"))
    progress.take(event(host="n2", task="Start", outcome="failed", message="no"))
    n1, n2 = progress.picture(30, 10, colours=False)
    assert (n1, n2) == ("n1  ok   1  changed   1  dock…", "n2  ok   0  changed   0  fail…")


def test_a_host_that_failed_is_shown_even_where_there_is_no_room_for_all() -> None:
    progress = Progress()
    progress.run = a_run(hosts=[f"n{i}" for i in range(9)])
    progress.take(event(host="n8", outcome="unreachable"))
    lines = progress.picture(80, 3, colours=False)
    assert [line.split()[0] for line in lines] == ["n8", "n0", "…"]
    assert lines[-1] == "… and 7 more"


def test_a_run_that_waits_says_for_which() -> None:
    progress = Progress()
    progress.run = a_run(state="queued", waits_for=["6"], hosts=[])
    assert progress.picture(80, 3, colours=False) == ["waits for run 6"]
    assert "run 7 queued for" in summary(a_run(state="queued", waits_for=["6"]), 1_795_222_801.0, 80)


def test_a_run_that_is_queued_for_long_says_what_it_waits_for_once_for_each_reason() -> None:
    said = io.StringIO()
    display = Display(said, diff=False, patience=0.0)
    for waits_for in ([], [], ["6"], ["6"]):
        display.take({"events": [], "run": a_run(state="queued", hosts=[], waits_for=waits_for)})
    driver, other = said.getvalue().splitlines()
    assert driver.startswith("run 7 is queued for 0s: it waits for labq-provisioner to begin it")
    assert driver.endswith("on the control machine: journalctl -u labq-provisioner -n 50")
    assert other == "run 7 is queued for 0s: it waits for run 6, which holds one of its hosts"
    early = io.StringIO()
    Display(early, diff=False).take({"events": [], "run": a_run(state="queued", hosts=[])})
    assert early.getvalue() == ""


def test_what_failed_without_a_server_is_done_again_without_one() -> None:
    def told(text: str) -> str:
        failures = [{"host": "n1", "role": "", "task": "", "message": "", "next": text}]
        return str(told_here(a_run(failures=failures))["failures"][0]["next"])

    assert told("mend that, then run this part again: labq provision --limit n1 --tags base").endswith(
        "again: labq provision --here --limit n1 --tags base"
    )
    assert told("or labq provision upgrade_driver --limit n1") == (
        "or labq provision --here upgrade_driver --limit n1"
    )
    assert told("look again: labq doctor --node n1") == "look again: labq doctor --here --node n1"
    assert told("labq provision --here --limit n1") == "labq provision --here --limit n1"
    assert told("labq node add n1 --new-key") == "labq node add n1 --new-key"


def test_without_a_terminal_only_what_changed_or_failed_is_a_line() -> None:
    assert plain(event(host="n1", outcome="ok")) == plain(event("task")) == ""
    assert plain(event(host="n1", outcome="changed", seconds=65.0)) == "n1  changed  docker : Install  1m05s"
    assert plain(event("say", message="hello\x1b[2J")) == "hello�[2J"
    assert (
        difference(event(host="n1", outcome="changed", message="-a\n+b"))
        == "n1  docker : Install\n  | -a\n  | +b"
    )
    assert difference(event(host="n1", outcome="failed", message="no")) == ""


def test_the_summary_names_what_failed_and_what_to_do() -> None:
    stats = {"n1": {"ok": 12, "changed": 3, "failed": 1, "unreachable": 0, "skipped": 2, "seconds": 61.0}}
    failure = {"host": "n1", "role": "docker", "task": "Start", "message": "no\nroom", "next": "make room"}
    run = a_run(
        state="failed", ended="2026-11-21T01:01:31.000Z", stats=stats, failures=[failure], note="So it is."
    )
    assert summary(run, 0.0, 80).splitlines() == [
        "HOST  OK  CHANGED  FAILED  UNREACHABLE  SKIPPED   TIME",
        "n1    12        3       1            0        2  1m01s",
        "n1: docker : Start",
        "  no",
        "  room",
        "  next: make room",
        "run 7 failed after 1m30s",
        "  So it is.",
    ]
    assert "n1: docker : Start" in runs_text([run], 0.0, 160)


def test_findings_are_the_requirements_and_what_kept_them_from_being_asked() -> None:
    met = event("requirement", "n1", "Debian 12", "ok")
    unmet = event("requirement", "n1", "32 GB free", "ignored", message="8 GB are free")
    end = {
        "role": "preflight",
        "task": "All requirements are met",
        "message": "8 GB",
        "next": "x",
        "host": "n1",
    }
    news = [
        {"events": [met], "run": a_run()},
        {"events": [unmet], "run": a_run(state="failed", failures=[end])},
    ]
    assert [(one["name"], one["ok"]) for one in findings("n1", news)] == [
        ("Debian 12", True),
        ("32 GB free", False),
    ]
    gone = {"role": "", "task": "Look", "message": "refused", "next": "is it on?", "host": "n1"}
    (only,) = findings("n1", [{"events": [], "run": a_run(state="failed", failures=[gone])}])
    assert (only["ok"], only["what"], only["next"]) == (False, "refused", "is it on?")
    (nothing,) = findings("n1", [{"events": [], "run": a_run(state="succeeded")}])
    assert nothing["what"] == "the play states no requirement"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["provision", "show"], "labq provision show needs the id of a run"),
        (["provision", "ls", "3"], "labq provision ls takes no id"),
        (["provision", "--here", "--detach"], "--here and --detach"),
        (["node", "rm", "n1"], "did you mean remove?"),
        (["node", "add", "n1", "--dead"], "labq node add takes no --dead"),
        (["inventory", "make"], "labq inventory has no action 'make'"),
        (["inventory", "init", "/nonexistent/lab"], "no node is named, and there is no terminal"),
        (["doctor", "--here"], "--here is for --node"),
    ],
)
def test_a_wrong_command_line_is_told_before_anybody_is_asked(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*argv, "--server", "http://127.0.0.1:9"]) == 2
    assert said in capsys.readouterr().err
