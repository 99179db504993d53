"""A machine for tests of provisioning: Debian 12 with systemd as PID 1, in a container of the private engine.

Bare, as an installation leaves it (scripts/standins/systemd-node). It has sshd, a nested Docker engine can run in it,
`reboot` reboots it, and it may be wiped: what the machine *is* (address, GPUs) lies in a directory of the host and stays.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from support.engine import Engine
from support.ssh import SshKey
from support.waiting import wait_for

IMAGE = "labq-test/node:latest"
# Found by trying: what systemd, sshd and a nested dockerd need, without --privileged, which a root without all
# capabilities may not give.
CAPABILITIES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "NET_ADMIN",
    "NET_RAW",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_ADMIN",
    "MKNOD",
    "AUDIT_WRITE",
    "SETFCAP",
]
#: Where a machine finds what the tests give it, read-only but for the first.
HARDWARE, PACKAGES, WHEELS = "/srv/hardware", "/srv/nvidia", "/srv/wheels"
#: The last byte of the first machine's address; the engine itself gives addresses from 2 upwards.
FIRST_ADDRESS = 200


class SystemdNode:
    """One machine.

    Attributes:
        name: Its host name.
        address: Where ssh finds it; the same after `wipe` and `reboot`.
        hardware: The directory with what it is; `hardware / "nvml.state"` says which GPUs it has.
    """

    def __init__(
        self, engine: Engine, name: str, number: int, key: SshKey, directory: Path, mounts: Mapping[Path, str]
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            engine: Where its container runs; scripts/bases node was run for it.
            name: Its host name.
            number: 0 … 50, one for each machine at a time: makes its address.
            key: Who may log in as root.
            directory: For its hardware.
            mounts: More directories of the host, read-only, and where they appear.
        """
        self.engine, self.name, self.key, self.mounts = engine, name, key, dict(mounts)
        network = engine.bridge.network
        self.address = str(network[FIRST_ADDRESS + number])
        self.hardware = directory / name
        self.hardware.mkdir(parents=True, exist_ok=True)
        (self.hardware / "address").write_text(f"{self.address}/{network.prefixlen}\n")
        (self.hardware / "nvml.state").touch()
        self._container = ""

    def start(self) -> None:
        """Starts it for the first time and waits until one can log in."""
        volumes = {str(self.hardware): {"bind": HARDWARE, "mode": "rw"}}
        volumes |= {str(source): {"bind": target, "mode": "ro"} for source, target in self.mounts.items()}
        container = self.engine.client.containers.run(
            IMAGE,
            ["/lib/systemd/systemd"],
            name=f"labq-test-{self.name}",
            hostname=self.name,
            detach=True,
            labels={"labq.test": "1"},
            environment={"container": "docker"},
            cap_drop=["ALL"],
            cap_add=CAPABILITIES,
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            device_cgroup_rules=["a *:* rwm"],
            cgroupns="private",
            stop_signal="SIGRTMIN+3",
            # Its own `reboot` ends PID 1.
            restart_policy={"Name": "always"},
            tmpfs={"/run": "exec,mode=755", "/run/lock": "", "/tmp": "exec,mode=1777"},
            # Anonymous: on the host's disk, as overlay2 cannot lie on overlay2.
            volumes=[*(f"{k}:{v['bind']}:{v['mode']}" for k, v in volumes.items()), "/var/lib/docker"],
        )
        self._container = str(container.id)
        self.run(f"umask 077; mkdir -p /root/.ssh; echo '{self.key.public}' >> /root/.ssh/authorized_keys")
        self._wait_up()
        self.key.trust(self.address, self.run("cat /etc/ssh/ssh_host_ed25519_key.pub"))

    def _wait_up(self) -> None:
        wait_for(self.is_up, 60, f"{self.name} to have booted", interval=0.1, hint=self.logs)

    def is_up(self) -> bool:
        """Has it booted, and does sshd answer?"""
        done = self.exec("systemctl is-system-running; test -s /etc/ssh/ssh_host_ed25519_key.pub")
        listens = self.exec("ss -Hltn sport = :22").stdout.strip()
        return done.returncode == 0 and done.stdout.strip() in {"running", "degraded"} and bool(listens)

    def exec(self, script: str) -> subprocess.CompletedProcess[str]:
        """Runs a shell script as root, not through ssh: for what the test itself does or looks at."""
        return subprocess.run(
            ["docker", "exec", self._container, "sh", "-c", script],
            env=self.engine.env(),
            text=True,
            errors="replace",
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def run(self, script: str) -> str:
        """As `exec`, and it must succeed; returns what was printed, without the last line's end."""
        done = self.exec(script)
        assert done.returncode == 0, f"{self.name}: {script}: {done.stdout}{done.stderr}"
        return done.stdout.rstrip("\n")

    def ssh(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command through ssh as root."""
        return self.key.ssh(f"root@{self.address}", *command)

    def write(self, path: str, text: str) -> None:
        """Replaces a file of it, keeping owner and mode."""
        subprocess.run(
            ["docker", "exec", "-i", self._container, "sh", "-c", f"cat > {path}"],
            env=self.engine.env(),
            input=text,
            text=True,
            check=True,
        )

    def load(self, *images: str) -> None:
        """Copies images of our engine into the one that runs in the machine."""
        with subprocess.Popen(
            ["docker", "save", *images], env=self.engine.env(), stdout=subprocess.PIPE
        ) as saved:
            subprocess.run(
                ["docker", "exec", "-i", self._container, "docker", "load", "-q"],
                env=self.engine.env(),
                stdin=saved.stdout,
                stdout=subprocess.DEVNULL,
                check=True,
            )
        assert saved.returncode == 0, f"docker save {images} failed"

    def gpus(self, *lines: str) -> None:
        """Says which GPUs it has, in the language of native/mock_nvml.c; may be changed while it runs."""
        new = self.hardware / "nvml.new"
        new.write_text("".join(f"{line}\n" for line in lines))
        new.replace(self.hardware / "nvml.state")

    def reboot(self) -> None:
        """Boots it anew; its disk stays."""
        self.engine.client.api.restart(self._container, timeout=30)
        self._wait_up()

    def stop(self) -> None:
        """Switches it off."""
        self.engine.client.api.stop(self._container, timeout=30)

    def power_on(self) -> None:
        """Switches it on again."""
        self.engine.client.api.start(self._container)
        self._wait_up()

    def remove(self) -> None:
        """Removes it with its disk; what it is stays."""
        if self._container:
            self.engine.client.api.remove_container(self._container, v=True, force=True)
            self._container = ""

    def wipe(self) -> None:
        """A new installation on the same machine: empty disk, new host keys."""
        self.remove()
        self.start()

    def logs(self) -> str:
        """What failed, and the last lines of its journal."""
        return self.exec("systemctl --failed --no-pager; journalctl -n 60 --no-pager").stdout

    def inventory(self) -> dict[str, str]:
        """The variables of Ansible that say how to reach it."""
        return {
            "ansible_host": self.address,
            "ansible_user": "root",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(self.key.private),
            "ansible_ssh_common_args": self.key.options_text,
        }
