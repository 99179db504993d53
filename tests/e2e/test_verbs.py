"""What each verb promises, on one lab with two simulated cards."""

from __future__ import annotations

import time
from pathlib import Path

from support.engine import BUSYBOX
from support.lab import Lab
from support.waiting import wait_for

SMALL = ("--image", BUSYBOX, "--cpus", "0.1", "--memory", "32MB")


def submit(lab: Lab, *arguments: str) -> str:
    """Submit a small job and return its id."""
    return str(lab.json("submit", *SMALL, *arguments)["id"])


def state(lab: Lab, job_id: str) -> str:
    """Return the state of a job."""
    return str(lab.json("show", job_id)["state"])


def wait_state(lab: Lab, job_id: str, wanted: str) -> None:
    """Wait until the job is in that state."""
    wait_for(
        lambda: state(lab, job_id) == wanted, 30, f"job {job_id} to be {wanted}", interval=0.1, hint=lab.logs
    )


def test_wait_tells_how_it_ended_by_its_exit_code(shared_lab: Lab) -> None:
    lab = shared_lab
    good, bad = submit(lab, "--", "true"), submit(lab, "--", "false")
    slow = submit(lab, "--", "sleep", "60")
    assert lab.labq("wait", good).returncode == 0
    assert lab.labq("wait", bad, check=False).returncode == 1
    assert lab.labq("wait", "--timeout", "1s", slow, check=False).returncode == 124
    lab.labq("cancel", slow)
    assert lab.labq("wait", slow, check=False).returncode == 2


def test_a_time_limit_lets_a_checkpoint_be_written_and_its_outputs_are_kept(
    shared_lab: Lab, tmp_path: Path
) -> None:
    lab = shared_lab
    script = "trap 'echo saved > /outputs/checkpoint; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    job = submit(lab, "--time", "1s", "--grace", "10s", "--", "sh", "-c", script)
    assert lab.labq("wait", job, check=False).returncode == 1
    shown = lab.json("show", job)
    assert shown["end_reason"] == "time_limit"
    assert "time limit of 1s" in shown["verdict"]
    lab.labq("fetch", job, "--to", str(tmp_path / "out"))
    assert (tmp_path / "out" / "checkpoint").read_text() == "saved\n"


def test_a_job_that_ignores_sigterm_is_killed_after_its_grace(shared_lab: Lab) -> None:
    lab = shared_lab
    job = submit(
        lab, "--grace", "1s", "--", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"
    )
    wait_for(lambda: "up" in lab.labq("logs", job).stdout, 20, "its first line", hint=lab.logs)
    lab.labq("cancel", job)
    lab.labq("wait", job, check=False)
    shown = lab.json("show", job)
    assert (shown["end_reason"], shown["exit_code"]) == ("cancelled_by_user", 137)
    assert "ignored SIGTERM" in shown["verdict"]


def test_a_job_killed_for_memory_says_so(shared_lab: Lab) -> None:
    lab = shared_lab
    job = str(
        lab.json("submit", "--image", BUSYBOX, "--memory", "16MB", "--", "sh", "-c", "tail /dev/zero")["id"]
    )
    lab.labq("wait", job, check=False)
    shown = lab.json("show", job)
    assert shown["end_reason"] == "out_of_memory"
    assert "16MB" in shown["verdict"]


def test_an_array_is_one_request_and_its_tasks_know_their_index(shared_lab: Lab) -> None:
    lab = shared_lab
    made = lab.json("submit", *SMALL, "--array", "0-4", "--", "sh", "-c", "echo task $LABQ_ARRAY_INDEX")
    ids = [job["id"] for job in made["jobs"]]
    assert ids == [f"{made['id']}.{index}" for index in range(5)]
    assert lab.labq("wait", made["id"]).returncode == 0
    assert [lab.labq("logs", job).stdout for job in ids] == [f"task {index}\n" for index in range(5)]


def test_a_dependency_is_waited_for_and_its_failure_ends_those_that_need_success(shared_lab: Lab) -> None:
    lab = shared_lab
    first = submit(lab, "--", "sh", "-c", "sleep 1; false")
    strict, lenient = (
        submit(lab, "--after", first, "--", "true"),
        submit(lab, "--after", f"any:{first}", "--", "true"),
    )
    assert f"job {first}" in lab.json("why", strict)["why"]
    assert lab.labq("wait", lenient).returncode == 0
    assert lab.labq("wait", strict, check=False).returncode == 1
    assert lab.json("show", strict)["end_reason"] == "dependency_failed"


def test_a_failed_run_is_tried_again_and_both_attempts_are_kept(shared_lab: Lab) -> None:
    lab = shared_lab
    job = submit(lab, "--retries", "1", "--", "sh", "-c", "echo attempt $LABQ_ATTEMPT; [ $LABQ_ATTEMPT = 2 ]")
    assert lab.labq("wait", job, "--timeout", "40s").returncode == 0
    shown = lab.json("show", job)
    assert [attempt["exit_code"] for attempt in shown["attempts"]] == [1, 0]
    assert lab.labq("logs", job, "--attempt", "1").stdout == "attempt 1\n"
    assert lab.labq("logs", job).stdout == "attempt 2\n"


def test_not_before_is_obeyed_and_explained(shared_lab: Lab) -> None:
    lab = shared_lab
    job = submit(lab, "--not-before", "3s", "--", "true")
    assert "not to start before" in lab.json("why", job)["why"]
    lab.labq("wait", job, "--timeout", "20s")
    shown = lab.json("show", job)
    assert shown["started_at"] >= shown["not_before"] if shown["not_before"] else True
    assert shown["state"] == "succeeded"


def test_why_names_who_holds_the_gpus(shared_lab: Lab) -> None:
    lab = shared_lab
    holder = submit(lab, "--gpus", "2", "--", "sleep", "60")
    wait_state(lab, holder, "running")
    waiting = submit(lab, "--gpus", "1", "--", "true")
    wait_for(lambda: holder in (lab.json("why", waiting)["why"] or ""), 10, "the reason", hint=lab.logs)
    top = lab.json("top")
    assert [gpu["holders"][0]["job"] for gpu in top] == [holder, holder]
    assert all(gpu["simulated"] for gpu in top)
    lab.labq("cancel", holder)
    assert lab.labq("wait", waiting, "--timeout", "20s").returncode == 0


def test_a_log_is_live_within_200_ms_and_complete_after_the_end(shared_lab: Lab) -> None:
    import subprocess

    from support.lab import BIN

    lab = shared_lab
    # the container writes the kernel's clock (to 10 ms); busybox's date has whole seconds only
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do cat /proc/uptime; sleep 0.2; done; printf 'bar 1\\rbar 2\\r'; sleep 1; printf '\\377\\376\\n'; head -c 100000 /dev/zero | tr '\\0' x; echo; seq 1 20000"
    job = submit(lab, "--", "sh", "-c", script)
    command = [str(BIN / "labq"), "logs", "-f", job]
    late = []
    with subprocess.Popen(command, env=lab.env(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(10):
            line = process.stdout.readline()
            late.append(time.clock_gettime(time.CLOCK_BOOTTIME) - float(line.split()[0]))
        bar = process.stdout.read1(12)  # type: ignore[attr-defined]
        rest = process.stdout.read()
    assert sorted(late)[5] < 0.2, late
    assert bar.startswith(b"bar 1\r")
    assert b"\xff\xfe\n" in rest
    assert b"x" * 100000 + b"\n" in rest
    assert rest.endswith(b"19999\n20000\n")
    raw = subprocess.run(
        [str(BIN / "labq"), "logs", job], env=lab.env(), capture_output=True, check=True
    ).stdout
    assert raw.endswith(bar + rest)
    tail = lab.labq("logs", job, "--tail", "3").stdout
    assert tail == "19998\n19999\n20000\n"


def test_note_rerun_and_ls_by_tag(shared_lab: Lab) -> None:
    lab = shared_lab
    job = submit(lab, "--tag", "exp:7", "--seed", "41", "--", "sh", "-c", "echo seed $LABQ_SEED")
    lab.labq("wait", job)
    lab.labq("note", job, "よい結果")
    assert lab.json("show", job)["note"] == "よい結果"
    lab.labq("rerun", job)
    again = [item["id"] for item in lab.json("ls", "--tag", "exp:7") if item["id"] != job]
    assert len(again) == 1
    assert lab.labq("wait", again[0]).returncode == 0
    assert lab.labq("logs", again[0]).stdout == "seed 41\n"
