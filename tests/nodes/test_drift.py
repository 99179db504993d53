"""What somebody changed by hand is put right, and only that, on that node only."""

import pytest
from nodes.conftest import Provisioned
from support.provisioned_lab import ANN
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(1200)

#: What is done by hand, a word of the task that puts it right, and how one sees that it is right again.
DRIFT = (
    ("sed -i 's/\"live-restore\": true/\"live-restore\": false/' /etc/docker/daemon.json", "docker", "grep -q '\"live-restore\": true' /etc/docker/daemon.json"),
    ("echo LABQ_BUILDS=9 >> /etc/labq/worker.env", "labq_worker", "! grep -q LABQ_BUILDS /etc/labq/worker.env"),
    (": > /home/ann/.ssh/authorized_keys", "base", f"grep -q '{ANN['ssh_keys'][0]}' /home/ann/.ssh/authorized_keys"),  # type: ignore[index]
    ("usermod -s /bin/false ben", "base", "getent passwd ben | grep -q /bin/bash"),
    ("sed -i 's/^RestartSec=.*/RestartSec=999/' /etc/systemd/system/labq-exporter.service", "labq_exporter", "! grep -q RestartSec=999 /etc/systemd/system/labq-exporter.service"),
    ("apt-mark unhold nvidia-driver-580-server", "nvidia", "apt-mark showhold | grep -q nvidia-driver-580-server"),
    ("systemctl disable --now prometheus-node-exporter", "node_exporters", "systemctl is-active prometheus-node-exporter"),
)  # fmt: skip


def test_drift_by_hand_is_repaired_and_only_that_on_that_node_only(whole: Provisioned) -> None:
    node = whole.gpu01
    for by_hand, _, right in DRIFT:
        node.run(by_hand)
        assert node.exec(right).returncode != 0, f"{by_hand} changes nothing"
    run = whole.lab.succeeds("provision", "gpu_nodes", "--diff")
    for by_hand, role, right in DRIFT:
        assert node.exec(right).returncode == 0, f"after {by_hand}: {run.text}"
        assert any(change.startswith(f"{role} :") for change in run.changes("gpu01")), f"{role}: {run.text}"
    assert run.changed()["gpu02"] == 0, run.text
    print("\n".join(run.changes("gpu01")))
    # Each finding costs its own repair, and a restart or reload where that needs one.
    assert run.changed()["gpu01"] <= 2 * len(DRIFT) + 1, run.text
    roles = {change.split(" :")[0] for change in run.changes("gpu01")}
    assert roles == {role for _, role, _ in DRIFT}
    wait_for(lambda: (whole.lab.node("gpu01") or {})["state"] == "up", 60, "gpu01 to be up again")
