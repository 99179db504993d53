"""The machines of these tests are what they claim to be: bare, real, and the same machine when installed anew."""

import pytest
from support.engine import BUSYBOX
from support.systemd_node import SystemdNode
from support.systemd_node_fixtures import Machines
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def machine(machines: Machines) -> SystemdNode:
    return machines.make("bare", gpus=2)


def test_a_machine_is_bare_and_one_logs_in_by_ssh(machine: SystemdNode) -> None:
    assert machine.ssh("hostname").stdout == "bare\n"
    assert machine.run("systemctl is-system-running") == "running"
    assert machine.exec("command -v docker labq-worker nvidia-smi").stdout == ""


def test_a_host_that_is_not_known_is_not_believed(machine: SystemdNode) -> None:
    other = machine.engine.docker(
        "inspect", "-f", "{{.NetworkSettings.IPAddress}}", f"labq-test-{machine.name}"
    )
    refused = machine.key.ssh(f"root@{other.strip()}", "hostname")
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_docker_and_a_driver_are_installed_without_a_network_and_a_container_sees_the_gpus(
    machine: SystemdNode,
) -> None:
    machine.run("echo 'deb [trusted=yes] file:/srv/nvidia ./' > /etc/apt/sources.list.d/nvidia.list")
    machine.run(
        "apt-get update && apt-get install -y --no-install-recommends docker.io nvidia-driver-580-server=580.95.05-1"
    )
    assert machine.exec("nvidia-smi").returncode == 9
    machine.run("modprobe nvidia")
    assert machine.run("nvidia-smi -L | wc -l") == "2"
    machine.run("apt-get install -y nvidia-driver-580-server=580.105.08-1")
    assert "version mismatch" in machine.exec("nvidia-smi").stdout
    before = machine.run("cat /proc/sys/kernel/random/boot_id")
    machine.exec("reboot")
    wait_for(
        lambda: machine.exec("cat /proc/sys/kernel/random/boot_id").stdout.strip() not in {"", before},
        60,
        "a reboot",
    )
    wait_for(machine.is_up, 60, "it to be up again", interval=0.1)
    asked = "nvidia-smi --query-gpu=index,driver_version --format=csv,noheader"
    assert machine.ssh(asked).stdout == "0, 580.105.08\n1, 580.105.08\n"
    machine.load(BUSYBOX)
    limits = "docker run --rm --memory 64m labq-test/busybox cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
    assert (
        machine.run(
            f"{limits} || docker run --rm --memory 64m labq-test/busybox cat /sys/fs/cgroup/memory.max"
        )
        == "67108864"
    )


def test_a_wiped_machine_is_bare_again_at_the_same_address(machine: SystemdNode) -> None:
    key = machine.run("cat /etc/ssh/ssh_host_ed25519_key.pub")
    machine.wipe()
    assert machine.run("cat /etc/ssh/ssh_host_ed25519_key.pub") != key
    assert machine.ssh("hostname; ls /var/lib/docker").stdout == "bare\n"
