"""A key pair for ssh and a file of known hosts, apart from those of the person who runs the tests."""

import subprocess
from pathlib import Path


class SshKey:
    """One key pair.

    Attributes:
        private: The file with the private key.
        public: The public key, one line.
        known_hosts: The file with the hosts that are believed.
    """

    def __init__(self, directory: Path) -> None:
        """Makes it.

        Args:
            directory: For its files; ends with the caller's test.
        """
        self.private = directory / "id_ed25519"
        self.known_hosts = directory / "known_hosts"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "labq-test", "-f", self.private], check=True
        )
        self.public = self.private.with_suffix(".pub").read_text().strip()
        self.known_hosts.touch()

    @property
    def options(self) -> list[str]:
        """What ssh is told: nobody is asked, nobody unknown is believed, nothing of the person's is read."""
        return [
            "-F", "/dev/null", "-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "StrictHostKeyChecking=yes",
            "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "IdentitiesOnly=yes",
        ]  # fmt: skip

    @property
    def options_text(self) -> str:
        """The same as one string, for Ansible."""
        return " ".join(self.options)

    def trust(self, address: str, host_key: str) -> None:
        """Believes a host with this public key from now on, and nobody else at that address."""
        others = [line for line in self.known_hosts.read_text().splitlines() if line.split()[0] != address]
        kind, key = host_key.split()[:2]
        self.known_hosts.write_text("\n".join([*others, f"{address} {kind} {key}"]) + "\n")

    def ssh(self, target: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command there, without a terminal."""
        return subprocess.run(
            ["ssh", *self.options, "-i", self.private, target, *command],
            text=True,
            errors="replace",
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
