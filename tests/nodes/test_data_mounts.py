"""Data is mounted or it is not there: no job finds an empty directory in its place."""

import pytest
from nodes.conftest import Provisioned
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(1200)
SOURCE = "/srv/disk/set"
MOUNT = {"path": "/data/set", "src": SOURCE, "fstype": "none", "opts": "bind,ro", "jobs": "ro"}
PLAY = ("provision", "gpu_nodes", "--limit", "gpu02", "--tags", "data_mounts,labq_worker")


def test_a_directory_of_a_disk_that_is_not_there_is_told_and_never_mounted_empty(whole: Provisioned) -> None:
    lab, node = whole.lab, whole.gpu02
    lab.write_inventory(data_mounts=[MOUNT])
    try:
        refused = lab.run(*PLAY)
        assert not refused.ok
        assert SOURCE in refused.text
        assert node.exec(f"test -e {SOURCE}").returncode != 0

        node.run(f"mkdir -p {SOURCE}; echo weights > {SOURCE}/w")
        lab.succeeds(*PLAY)
        assert node.run("cat /data/set/w") == "weights"
        # The disk goes while the machine is off, so to speak: nothing is mounted, and nothing is made.
        node.run(f"systemctl stop data-set.mount; rm -r {SOURCE}")
        assert node.exec("systemctl start data-set.mount").returncode != 0
        assert node.exec(f"test -e {SOURCE} || mountpoint -q /data/set").returncode != 0
    finally:
        lab.write_inventory(data_mounts=[MOUNT | {"state": "absent"}])
        lab.succeeds(*PLAY)
        lab.write_inventory()
        node.run("rm -rf /srv/disk")
    assert node.exec("mountpoint -q /data/set").returncode != 0
    wait_for(lambda: (lab.node("gpu02") or {})["state"] == "up", 60, "gpu02 to be heard", interval=0.5)
