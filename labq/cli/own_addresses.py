"""The addresses of this machine, among which an admin chooses the one that nodes and people reach. Linux, IPv4."""

from __future__ import annotations

import array
import socket
import struct

#: ioctl that lists an address and its interface, from linux/sockios.h; a row of its list is 40 bytes where pointers have
#: 8, else 32 (struct ifreq).
_SIOCGIFCONF = 0x8912
_ROW = 40 if struct.calcsize("P") == 8 else 32
#: Interfaces of containers and virtual machines, which nobody else reaches.
_INNER = ("lo", "docker", "br-", "veth", "virbr", "cni", "podman", "lxc")


def own_addresses() -> list[tuple[str, str]]:
    """Return the interfaces and addresses by which others may reach this machine; [] when that cannot be said."""
    from fcntl import ioctl

    room = array.array("B", bytes(256 * _ROW))
    place, length = room.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = ioctl(probe, _SIOCGIFCONF, struct.pack("iP", length, place))
        except OSError:
            return []
    size = struct.unpack("iP", answer)[0]
    rows = [room[at : at + _ROW].tobytes() for at in range(0, size, _ROW)]
    found = [(row[:16].partition(b"\0")[0].decode(), socket.inet_ntoa(row[20:24])) for row in rows]
    return sorted(each for each in found if not each[0].startswith(_INNER))


def usual_address() -> str:
    """Return the address with which this machine goes out, else any of its own, else its name. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # An address for documentation (RFC 5737): only the route is looked up.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            found = own_addresses()
            return found[0][1] if found else socket.gethostname()
