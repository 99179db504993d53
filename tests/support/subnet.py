"""A bridge of its own for a test engine, with addresses that nothing else here uses."""

import ipaddress
import json
import subprocess

#: Tried in turn; the third byte is the slot, so that parallel test runs do not meet.
CANDIDATES = ("10.213.{}.0/24", "172.29.{}.0/24", "192.168.{}.0/24")


def run(*command: str) -> str:
    """Runs a command of the system and returns what it printed; its complaint fails the test."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(command)}: {result.stderr or result.stdout}"
    return result.stdout


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Bridge:
    """A network bridge with a route to the outside, for `dockerd --bridge NAME --iptables=false`.

    The rules are set here and not by dockerd: a second dockerd that manages iptables flushes the chains
    of the first, and with them the published ports of whatever else runs on this machine.
    """

    def __init__(self, name: str, slot: int) -> None:
        self.name = name
        self.slot = slot

    def _free_subnet(self) -> ipaddress.IPv4Network:
        routes = [entry["dst"] for entry in json.loads(run("ip", "-j", "-4", "route")) if "dst" in entry]
        used = [ipaddress.IPv4Network(route) for route in routes if route != "default"]
        for pattern in CANDIDATES:
            network = ipaddress.IPv4Network(pattern.format(200 + self.slot))
            if not any(network.overlaps(other) for other in used):
                return network
        raise AssertionError(f"no free subnet for {self.name}; in use: {used}")

    def _address(self) -> ipaddress.IPv4Interface | None:
        if not _succeeds("ip", "link", "show", self.name):
            return None
        for link in json.loads(run("ip", "-j", "-4", "address", "show", "dev", self.name)):
            for entry in link.get("addr_info", []):
                return ipaddress.IPv4Interface(f"{entry['local']}/{entry['prefixlen']}")
        return None

    @property
    def network(self) -> ipaddress.IPv4Network:
        """Its addresses; the first is this machine's. It must be up."""
        address = self._address()
        assert address is not None, f"{self.name} is not up"
        return address.network

    def _rules(self, subnet: ipaddress.IPv4Network) -> list[list[str]]:
        return [
            ["-t", "nat", "POSTROUTING", "-s", str(subnet), "!", "-o", self.name, "-j", "MASQUERADE"],
            ["-t", "filter", "FORWARD", "-i", self.name, "-j", "ACCEPT"],
            ["-t", "filter", "FORWARD", "-o", self.name, "-j", "ACCEPT"],
        ]

    def up(self) -> None:
        """Makes the bridge and its rules, or leaves them as an earlier run left them."""
        address = self._address()
        if address is None:
            address = ipaddress.IPv4Interface((self._free_subnet()[1], 24))
            if not _succeeds("ip", "link", "show", self.name):
                run("ip", "link", "add", self.name, "type", "bridge")
            run("ip", "address", "add", str(address), "dev", self.name)
        run("ip", "link", "set", self.name, "up")
        for table, name, chain, *rule in self._rules(address.network):
            if not _succeeds("iptables", "-w", table, name, "-C", chain, *rule):
                # First, since Docker's own rules may end with a refusal.
                run("iptables", "-w", table, name, "-I", chain, *rule)

    def down(self) -> None:
        """Removes both."""
        address = self._address()
        if address is None:
            return
        for table, name, chain, *rule in self._rules(address.network):
            _succeeds("iptables", "-w", table, name, "-D", chain, *rule)
        run("ip", "link", "delete", self.name)
