"""What dies, and what becomes of the runs."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.need import need
from support.provisioning import Lab
from support.redis import RedisServer
from support.waiting import wait_for

from labq.provision import RunState
from labq.provision_request import Request


def test_a_run_outlives_the_service_that_was_killed(lab: Lab) -> None:
    run_id = lab.ask("slow.yml", limit="a")
    lab.began(run_id, "Install something large")
    lab.end(signal.SIGKILL)
    (lab.scratch / "go").touch()
    run = lab.ended(run_id)  # nobody else is there to end it
    assert (run.state, run.stats["a"].ok) == (RunState.SUCCEEDED, 1)


def test_a_run_whose_driver_was_killed_is_ended_and_says_what_may_be_going_on(lab: Lab) -> None:
    run_id = lab.ask("slow.yml")
    lab.began(run_id, "Install something large")
    (driver,) = lab.drivers(run_id)
    orderers = lab.orderers(run_id)
    assert orderers
    os.kill(driver, signal.SIGKILL)
    run = lab.ended(run_id)
    assert run.state is RunState.FAILED
    assert "Its driver died" in run.note
    assert "on a: Install something large; on b: Install something large" in run.note
    wait_for(lambda: lab.orderers(run_id) == [], 5, "its ansible to be ended")
    left = {path.name for path in (lab.root / "runs" / run_id).iterdir()}
    assert left == {"alive", "log"}
    (lab.scratch / "go").touch()
    assert lab.ended(lab.ask("fine.yml")).state is RunState.SUCCEEDED  # the hosts are free


def test_a_run_without_a_message_and_one_from_before_the_start_are_driven_all_the_same(idle_lab: Lab) -> None:
    request = Request.from_json({"playbook": "fine.yml", "limit": "a"})
    before = idle_lab.store.provision.make(request, "hana", now=1.0)
    idle_lab.start()
    try:
        assert idle_lab.ended(before.id).state is RunState.SUCCEEDED
        silent = idle_lab.store.provision.make(request, "hana", now=2.0)
        assert idle_lab.ended(silent.id).state is RunState.SUCCEEDED
    finally:
        idle_lab.end(signal.SIGTERM)


def test_a_redis_that_dies_during_a_run_holds_nothing_up_and_is_told_all_of_it(
    lab: Lab, redis_server: RedisServer
) -> None:
    run_id = lab.ask("slow.yml", limit="a")
    lab.began(run_id, "Install something large")
    client = lab.store.connection.client
    (driver,) = lab.drivers(run_id)
    redis_server.kill()
    (lab.scratch / "go").touch()
    wait_for(lambda: lab.orderers(run_id) == [], 30, "its ansible to end")
    # As after a loss of the last second: what was told is not there when the driver finds Redis again.
    os.kill(driver, signal.SIGSTOP)
    try:
        redis_server.start()
        client.delete(f"labq:provision:events:{run_id}")
    finally:
        os.kill(driver, signal.SIGCONT)
    run = lab.ended(run_id)
    assert (run.state, run.stats["a"].ok) == (RunState.SUCCEEDED, 1)
    numbers = [event["n"] for event in lab.store.provision.events(run_id, 0, 100)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert lab.has_event(run_id, kind="host", host="a", outcome="ok")


@pytest.fixture
def small_lab(redis_url: str, tmp_path: Path) -> Iterator[Lab]:
    """A lab directory on a disk of its own, of 400 KB."""
    (tmp_path / "lab").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(tmp_path / "lab")]
    need(subprocess.run(mount, capture_output=True, check=False).returncode == 0, "root that may mount")
    lab = Lab(redis_url, tmp_path)
    lab.start()
    yield lab
    lab.end(signal.SIGTERM)
    lab.end_drivers()
    subprocess.run(["umount", "--lazy", str(tmp_path / "lab")], check=True)


def fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as handle, suppress(OSError):
        while True:
            handle.write(b"x" * 512)


def test_a_full_disk_ends_a_run_with_what_to_do_and_the_next_one_finds_its_machines_free(
    small_lab: Lab,
) -> None:
    run_id = small_lab.ask("slow.yml", limit="a")
    small_lab.began(run_id, "Install something large")
    fill = small_lab.root / "fill"
    fill_up(fill)
    (small_lab.scratch / "go").touch()
    for run in (small_lab.ended(run_id), small_lab.ended(small_lab.ask("fine.yml", limit="a"))):
        assert run.state is RunState.FAILED
        assert "No space left on device; make room there" in run.note
        assert "on the control machine" in run.note
    fill.unlink()
    assert small_lab.ended(small_lab.ask("fine.yml", limit="a")).state is RunState.SUCCEEDED
