"""Which addresses of the network a webhook may reach: the Internet's, never this machine's or the lab's. Pure, but for one bind."""

from __future__ import annotations

import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: What `ipaddress` calls global and nobody's web server has: 6to4's relays (RFC 7526), IETF protocols (RFC 6890).
_NOT_IPV4 = tuple(map(ipaddress.IPv4Network, ("192.88.99.0/24", "192.0.0.0/24")))
#: The only addresses of machines that IANA hands out, and what in there carries another address (6to4, Teredo) or
#: is documentation.
_UNICAST = ipaddress.IPv6Network("2000::/3")
_NOT_IPV6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
#: RFC 6052: the rest of the address is the IPv4 address that a translator reaches.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the Internet's: not this machine's, a private or a link's own.

    >>> [is_public(a) for a in ("127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a00:1", "8.8.8.8")]
    [False, False, False, False, True]
    """
    found = carried(address)
    if isinstance(found, ipaddress.IPv4Address):
        # is_global alone counts multicast, too.
        return found.is_global and not found.is_multicast and not any(found in net for net in _NOT_IPV4)
    if "%" in address or found not in _UNICAST or any(found in net for net in _NOT_IPV6):
        return False
    # ISATAP (RFC 5214): the second half names an IPv4 address of the site.
    return (int(found) >> 32) & 0xFDFFFFFF != 0x00005EFE


def carried(address: str) -> Address:
    """Return the address that a packet goes to in the end: the IPv4 address inside of ::ffff:… and of 64:ff9b::…."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return found.ipv4_mapped
        if found in _NAT64:
            return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found


def is_ours(address: str) -> bool:
    """Return whether an address is this machine's own, be it a public one: only then can one listen on it."""
    found = carried(address)
    family = socket.AF_INET if found.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(found), 0))
        except OSError:
            return False
    return True
