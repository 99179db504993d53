"""Which machines Prometheus scrapes: the live list of nodes, in a file that it reads again by itself.

Lives here: nodes -> target groups (pure), and the thread that keeps ``<targets_dir>/nodes.json``. Lost and drained nodes
stay, as only what is scraped can be missed: an admin takes a node away with ``labq nodes --remove``.
Ports: dashboards/prometheus/prometheus.yml adds 9746 (ours) or 9100 (node_exporter's own default) to each address.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from labq.errors import LabqError
from labq.node import Node
from labq.store import Event
from labq.whole_file import write_whole

log = logging.getLogger(__name__)

FILE = "nodes.json"
#: Seconds between two looks when no event of a node says that something changed.
PERIOD = 30.0
#: What prometheus.yml takes when a group says no other.
USUAL_PORT = 9746
#: One part of a host name (RFC 1123), with the underscore that compose allows; a whole name has 253 characters at most.
_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST = 253


def target_groups(nodes: Iterable[Node], exporter_port: int = USUAL_PORT) -> list[dict[str, Any]]:
    """Return the groups of ``nodes.json``, one for each machine, sorted by node. Pure.

    Two agents on one machine share its exporter, whose GPUs must not count twice: it goes by the name of the first that
    is alive.

    Args:
        nodes: all that are registered.
        exporter_port: where their exporters listen.
    """
    taken: set[str] = set()
    groups = []
    for node in sorted(nodes, key=lambda node: (not node.alive, node.name)):
        address = address_of(node)
        if not address or address in taken:
            continue
        taken.add(address)
        labels = {"node": node.name}
        if exporter_port != USUAL_PORT:
            labels["__exporter_port"] = str(exporter_port)
        groups.append({"targets": [address], "labels": labels})
    return sorted(groups, key=lambda group: str(group["labels"]["node"]))


def address_of(node: Node) -> str:
    """Return where Prometheus finds a node; "" when what it says of itself is no address.

    One bad address in the file and Prometheus keeps the whole of the old list, so it must not get there.
    """
    for said in (node.facts.get("address"), node.facts.get("hostname"), node.name):
        if said:
            return _legal(said)
    return ""


def _legal(said: str) -> str:
    try:
        found = ipaddress.ip_address(said.strip("[]"))
    except ValueError:
        legal = len(said) <= _LONGEST and all(map(_PART.fullmatch, said.split(".")))
        return said if legal else ""
    return f"[{found}]" if found.version == 6 else str(found)


def write_if_changed(path: Path, groups: Iterable[Mapping[str, Any]]) -> bool:
    """Write the file at once or not at all, readable by all (Prometheus has a user of its own); say if it changed.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps(list(groups), indent=1, ensure_ascii=False) + "\n"
    try:
        if path.read_text() == text:
            return False
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    # An empty file after a power cut would be a lab without nodes.
    write_whole(path, text, mode=0o644, sync=True)
    return True


class Targets:
    """Keeps the file, in a thread of its own."""

    def __init__(self, folder: Path, exporter_port: int, nodes: Callable[[], Iterable[Node]]) -> None:
        """Prepare the thread.

        Args:
            folder: where the file goes.
            exporter_port: where the exporters of the nodes listen.
            nodes: returns all that are registered; may raise LabqError.
        """
        self._path, self._port, self._nodes = folder / FILE, exporter_port, nodes
        self._stop, self._wake = threading.Event(), threading.Event()
        self._failed = ""
        self._thread = threading.Thread(target=self._run, name="targets", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=3)

    def notice(self, event: Event) -> None:
        """Look at once when a node came, changed or went; for the board's listeners."""
        if event.type == "node":
            self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                if write_if_changed(self._path, target_groups(self._nodes(), self._port)):
                    log.info("the nodes that Prometheus scrapes changed: %s", self._path)
                self._failed = ""
            except LabqError as error:
                self._complain(error.what)
            except OSError as error:
                self._complain(f"{self._path}: {error.strerror}")
            except Exception:
                log.exception("targets: this round failed")
            self._wake.wait(PERIOD)

    def _complain(self, text: str) -> None:
        """Say it once, not each round."""
        if text != self._failed:
            log.warning("Prometheus's list of nodes stays as it is: %s", text)
            self._failed = text
