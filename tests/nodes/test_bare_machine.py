"""What a run says of a machine that is bare, wrong or off, and that it changes nothing there."""

from collections.abc import Iterator

import pytest
from nodes.conftest import Provisioned
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(1200)
# What a machine is made of. Not what each run leaves for itself, nor the times of directories, in which files come and go.
STATE = (
    "find /etc /opt /usr/local /root /home /var/lib/labq-node -xdev -not -path '/root/.ansible*' "
    "\\( -type d -printf '%p\\n' -o -printf '%p %T@ %s\\n' \\) 2>/dev/null | sort; "
    "dpkg-query -W; getent passwd; systemctl list-unit-files --no-legend"
)


@pytest.fixture
def known(whole: Provisioned) -> Iterator[Provisioned]:
    """The bare machine is in the inventory during the test."""
    whole.lab.add_to_inventory(whole.bare)
    yield whole
    whole.lab.take_from_inventory(whole.bare)


def test_check_mode_passes_on_a_bare_machine_and_changes_nothing(known: Provisioned) -> None:
    before = known.bare.run(STATE)
    run = known.lab.succeeds("provision", "gpu_nodes", "--limit", "gpu03", "--check", "--diff")
    print(f"check mode on a bare machine: {run.seconds:.0f} s, would change {run.changed()['gpu03']}")
    assert run.changed()["gpu03"] > 10
    assert known.bare.run(STATE) == before


def test_a_wrong_value_in_the_inventory_stops_before_anything_is_changed(known: Provisioned) -> None:
    before = known.bare.run(STATE)
    known.lab.write_inventory(docker_log_max_files="several")
    try:
        run = known.lab.run("provision", "gpu_nodes", "--limit", "gpu03", "--tags", "docker")
    finally:
        known.lab.write_inventory()
    assert not run.ok
    assert "docker_log_max_files" in run.text
    assert known.bare.run(STATE) == before


def test_what_a_machine_lacks_is_said_by_name(known: Provisioned) -> None:
    known.lab.write_inventory(preflight_min_free_gb=1_000_000)
    try:
        found = known.lab.labq("doctor", "--node", "gpu03", check=False, timeout=300)
    finally:
        known.lab.write_inventory()
    assert found.returncode == 1, found.stdout
    (lacks,) = [line for line in found.stdout.splitlines() if line.startswith("FAIL")]
    assert "1000000" in found.stdout.replace(",", "")
    print(lacks)


def test_a_machine_that_is_off_leaves_the_other_done_and_is_named(known: Provisioned) -> None:
    known.bare.stop()
    try:
        run = known.lab.run("provision", "gpu_nodes", "--limit", "gpu02,gpu03", "--tags", "labq_exporter")
    finally:
        known.bare.power_on()
    stats = run.body["stats"]
    assert not run.ok
    assert stats["gpu03"]["unreachable"] == 1
    assert (stats["gpu02"]["failed"], stats["gpu02"]["unreachable"]) == (0, 0)
    assert stats["gpu02"]["ok"] > 5
    (failure,) = run.body["failures"]
    assert failure["host"] == "gpu03"
    assert failure["next"]


def test_cancelling_says_what_may_still_be_going_on(known: Provisioned) -> None:
    lab = known.lab
    lab.add_play("slow", "gpu03", {"ansible.builtin.command": {"argv": ["sleep", "25"]}})
    made = lab.json("provision", "slow", "--detach")
    wait_for(lambda: known.bare.exec("pgrep -x sleep").stdout, 60, "the play to work there", interval=0.3)
    lab.labq("provision", "cancel", made["id"])
    seen = lab.labq("provision", "follow", made["id"], check=False)
    assert seen.returncode == 2, seen.stdout
    assert "may still be going on" in seen.stdout
    assert "on gpu03: " in seen.stdout
    assert "Work of slow" in seen.stdout
