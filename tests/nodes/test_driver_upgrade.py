"""Another driver on one node: nobody's job is ended, what fails stays drained, and in the end it takes jobs again."""

import pytest
from nodes.conftest import Provisioned
from support.provisioned_lab import DRIVER, NEWER_DRIVER
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(1800)

REASON = "upgrade_driver.yml: NVIDIA driver"
LOADED = "nvidia-smi --query-gpu=driver_version --format=csv,noheader"
UPGRADE = ("provision", "upgrade_driver", "--limit", "gpu02")


def test_a_driver_is_upgraded_once_its_nodes_jobs_have_ended_and_the_node_takes_jobs_again(
    whole: Provisioned,
) -> None:
    lab, node = whole.lab, whole.gpu02
    job = lab.submit(node="rack=2", script="sleep 3000")
    lab.running(job)
    lab.write_inventory(nvidia_driver_version=NEWER_DRIVER, upgrade_driver_wait_s=2, node_drain_poll_s=1)
    try:
        # The play that comes every day only says it.
        daily = lab.succeeds("provision", "gpu_nodes", "--limit", "gpu02", "--tags", "nvidia")
        assert daily.changed()["gpu02"] == 1  # which version apt would take
        assert node.run(LOADED) == DRIVER.partition("-")[0]

        refused = lab.run(*UPGRADE)
        assert not refused.ok
        assert f"still held by: {job} of ann" in " ".join(refused.text.split())
        assert (lab.node("gpu02") or {})["reason"] == REASON
        assert lab.json("show", job)["state"] == "running"

        lab.labq("cancel", job)
        lab.labq("wait", job, "--timeout", "60s", check=False)
        done = lab.succeeds(*UPGRADE)
        assert done.changed()["gpu02"] > 0
        assert node.run(LOADED) == NEWER_DRIVER.partition("-")[0]
        assert "nvidia-driver-580-server" in node.run("apt-mark showhold")
        assert not (lab.node("gpu02") or {})["reason"]
        # A kernel that came meanwhile, and for which the driver was not built: told now, and not after the next start.
        node.run("touch /boot/vmlinuz-6.1.0-99-amd64")
        told = lab.run(*UPGRADE)
        assert not told.ok
        assert "not built for kernel 6.1.0-99-amd64" in told.text
        node.run("rm /boot/vmlinuz-6.1.0-99-amd64")
        again = lab.succeeds(*UPGRADE)
        assert again.changed()["gpu02"] == 0, again.text
    finally:
        lab.labq("cancel", job, check=False)
        node.run("rm -f /boot/vmlinuz-6.1.0-99-amd64")
        lab.write_inventory()
        lab.succeeds(*UPGRADE)
    assert node.run(LOADED) == DRIVER.partition("-")[0]
    wait_for(lambda: (lab.node("gpu02") or {})["state"] == "up", 60, "gpu02 to be heard", interval=0.5)
    after = lab.submit(node="rack=2", script="echo back")
    assert lab.labq("wait", after, "--timeout", "120s", check=False).returncode == 0, lab.logs()
