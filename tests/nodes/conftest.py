"""One lab for all tests of this folder: two machines that became nodes, and a third that stays bare.

A test leaves lab and nodes as it found them. Making them takes minutes, so what the first runs did is kept with them.
"""

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.engine import BUSYBOX, Engine
from support.provisioned_lab import ProvisionedLab, Run
from support.systemd_node import SystemdNode
from support.systemd_node_fixtures import open_machines


@dataclass
class Provisioned:
    """The lab and its machines.

    Attributes:
        first: The runs that made nodes of bare machines, by the node's name.
    """

    lab: ProvisionedLab
    gpu01: SystemdNode
    gpu02: SystemdNode
    bare: SystemdNode
    first: dict[str, Run]

    @property
    def nodes(self) -> dict[str, SystemdNode]:
        """Those that are nodes."""
        return {node.name: node for node in (self.gpu01, self.gpu02)}


def add(lab: ProvisionedLab, machine: SystemdNode, *flags: str) -> Run:
    """Makes a node of a machine, by one command."""
    return lab.run("node", "add", machine.name, "--host", machine.address, *flags)


@pytest.fixture(scope="session")
def bare_lab(engine: Engine) -> Iterator[Provisioned]:
    """A lab whose machines are all bare; only `provisioned` wants it."""
    engine.start()
    directory = Path(tempfile.mkdtemp(prefix="labq-nodes-"))
    with open_machines(engine) as machines:
        lab = ProvisionedLab(machines, directory)
        try:
            lab.start()
            yield Provisioned(
                lab, machines.make("gpu01", gpus=2), machines.make("gpu02"), machines.make("gpu03"), {}
            )
        finally:
            lab.close()
            shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def provisioned(bare_lab: Provisioned) -> Provisioned:
    """The lab with gpu01 and gpu02 as nodes, added side by side by a command each; gpu03 is bare."""
    lab = bare_lab.lab
    with ThreadPoolExecutor() as pool:
        runs = {
            name: pool.submit(add, lab, machine, "--label", f"rack={name[-1]}")
            for name, machine in bare_lab.nodes.items()
        }
        bare_lab.first.update({name: run.result() for name, run in runs.items()})
    for name, run in bare_lab.first.items():
        assert run.ok, f"labq node add {name}: {run.text}\n{lab.logs()}\n{bare_lab.nodes[name].logs()}"
        bare_lab.nodes[name].load(BUSYBOX)
    return bare_lab


@pytest.fixture
def whole(provisioned: Provisioned) -> Provisioned:
    """The lab, both nodes up before the test, whatever the one before did."""
    rows = {row["name"]: row["state"] for row in provisioned.lab.json("nodes")}
    assert rows == {"gpu01": "up", "gpu02": "up"}, "the test before left the lab so"
    return provisioned
