"""Reads ``/proc/<pid>/cgroup``: which containers a process is in, and whose session. Pure.

A row is ``hierarchy:controllers:path``. cgroup v2 has one row (``0::``), v1 one for each hierarchy, a hybrid host both.
Engines put the 64 hexadecimal digits of the container's id into the last component of the path that they make.
"""

from __future__ import annotations

import re

from labq.holding.facts import CgroupFacts

#: ``<id>`` (cgroupfs), ``docker-<id>.scope`` (systemd), ``libpod-<id>``, ``…slice:cri-containerd:<id>`` (containerd)
_CONTAINER = re.compile(
    r"(?:(?:.*:)?(?P<runtime>[a-z][a-z0-9.-]*)[-:])?(?P<id>[0-9a-f]{64})(?:\.scope|\.service)?"
)
_SLICE = re.compile(r"user-(\d{1,10})\.slice")
_MANAGER = re.compile(r"user@(\d{1,10})\.service")
#: What the kernel adds to the path of a cgroup that was removed while processes were in it.
_REMOVED = " (deleted)"


def parse_cgroup(text: str) -> CgroupFacts:
    """Return what the cgroups of a process say of its containers and its user.

    Args:
        text: the file as the host sees it; inside a container's own cgroup namespace it says nothing.
    """
    trusted: list[list[tuple[str, str]]] = []
    claimed: list[tuple[int, list[tuple[str, str]]]] = []
    slice_uid: int | None = None
    for row in text.splitlines():
        _, _, rest = row.partition(":")
        _, _, path = rest.partition(":")
        chain, uid, manager = _read(path.removesuffix(_REMOVED))
        slice_uid = uid if slice_uid is None else slice_uid
        if chain and manager is None:
            trusted.append(chain)
        elif chain and manager is not None:
            claimed.append((manager, chain))
    delegated = None
    chains = trusted
    if not trusted and claimed:
        delegated = claimed[0][0]
        chains = [chain for manager, chain in claimed if manager == delegated]
    # The longest path knows the nesting; the others can only add what they alone have.
    ordered = [found for chain in sorted(chains, key=len, reverse=True) for found in chain]
    ids = tuple(dict.fromkeys(found for found, _ in ordered))
    return CgroupFacts(ids, slice_uid, ordered[0][1] if ordered else "", delegated)


def _read(path: str) -> tuple[list[tuple[str, str]], int | None, int | None]:
    """Return (id, runtime) innermost first, the uid of the slice, and of the manager that rules the subtree."""
    chain: list[tuple[str, str]] = []
    slice_uid = manager = None
    for part in path.split("/"):
        found = _CONTAINER.fullmatch(part)
        if found and not (found["runtime"] or "").endswith("conmon"):
            chain.insert(0, (found["id"], (found["runtime"] or "").removesuffix("-payload")))
        elif not chain:
            # Below a container these names are the container's own, and its uids are not the host's.
            if said := _SLICE.fullmatch(part):
                slice_uid = int(said[1])
            elif said := _MANAGER.fullmatch(part):
                manager = int(said[1])
    return chain, slice_uid, manager
