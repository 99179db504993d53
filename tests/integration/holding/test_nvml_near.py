"""Which GPUs are near each other, as drivers tell it in all their ways: the real pynvml on the fake library."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pynvml
import pytest
from support.nvml import MockNvml, gpu_line, gpu_uuid, instance_line

from labq.holding.nvml import Nvml
from labq.neighbours import Neighbours, Tie
from labq_worker.gpu_near import GpuNear

#: nvml.h's nvmlGpuTopologyLevel_t
BOARD, ONE_SWITCH, SWITCHES, BRIDGE, NODE, SYSTEM = 0, 10, 20, 30, 40, 50
FOUR = [gpu_line(index) for index in range(4)]


def near(driver: MockNvml, *lines: str, pci: Path = Path("/none")) -> dict[str, list[str]]:
    """Return the groups by index that the agent makes of what the driver says: ``{"nvlink": ["01", "23"]}``."""
    driver.write(*lines)
    nvml = Nvml()
    found = GpuNear(nvml, lambda: nvml.find()[0], pci=pci)
    assert found.ask()
    return readable(found.known)


def readable(known: Neighbours) -> dict[str, list[str]]:
    return {
        tie: ["".join(str(int(uuid[-12:])) for uuid in group) for group in groups]
        for tie, groups in known.to_wire().items()
    }


def test_a_driver_that_tells_nothing_is_no_failure(nvml_here: MockNvml) -> None:
    assert near(nvml_here, *FOUR) == {}
    assert near(nvml_here, gpu_line(0)) == {}
    assert near(nvml_here, "initfail 9") == {}


def test_bridges_between_pairs(nvml_here: MockNvml) -> None:
    assert near(nvml_here, *FOUR, "nvlink 0 1", "nvlink 3 2") == {"nvlink": ["01", "23"]}


def test_nvswitch_joins_all_that_have_links_to_it(nvml_here: MockNvml) -> None:
    assert near(nvml_here, *FOUR, *(f"nvswitch {index}" for index in range(3))) == {"nvlink": ["012"]}


@pytest.mark.parametrize(
    "quiet", [("nop2p 0",), ("nop2p 1", "nop2p 2"), tuple(f"nop2p {index}" for index in range(4))]
)
def test_a_driver_that_does_not_say_who_reaches_whom_is_asked_where_links_end(
    nvml_here: MockNvml, quiet: tuple[str, ...]
) -> None:
    assert near(nvml_here, *FOUR, "nvlink 0 1", "nvlink 0 2", *quiet) == {"nvlink": ["01", "02"]}
    assert near(nvml_here, *FOUR, "nvswitch 0", "nvswitch 3", *quiet) == {"nvlink": ["03"]}


def test_links_that_are_up_but_may_not_be_used_do_not_count(
    nvml_here: MockNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as with partitions of NVSwitch: the driver says no, whatever the links say
    monkeypatch.setattr(pynvml, "nvmlDeviceGetP2PStatus", lambda *_: pynvml.NVML_P2P_STATUS_NOT_SUPPORTED)
    assert near(nvml_here, *FOUR, "nvlink 0 1") == {}


def test_what_two_cards_have_in_common(nvml_here: MockNvml) -> None:
    levels = {(0, 1): BOARD, (2, 3): SWITCHES, (0, 2): BRIDGE, (0, 3): NODE, (1, 2): BRIDGE, (1, 3): NODE}
    told = [f"common {one} {other} {level}" for (one, other), level in levels.items()]
    assert near(nvml_here, *FOUR, *told) == {"switch": ["01", "23"], "numa": ["0123"]}
    assert (
        near(
            nvml_here, *FOUR, *(f"common {one} {other} {SYSTEM}" for one, other in combinations(range(4), 2))
        )
        == {}
    )


def test_without_that_the_cores_tell_and_without_those_the_kernel(
    nvml_here: MockNvml, tmp_path: Path
) -> None:
    assert near(nvml_here, *FOUR, "cores 0 15", "cores 1 240", "cores 2 15", "cores 3 240") == {
        "numa": ["02", "13"]
    }
    for index, node in enumerate([0, 0, 1, -1]):  # the fake's card at index 0 has bus 1
        place = tmp_path / f"0000:{index + 1:02x}:00.0"
        place.mkdir()
        (place / "numa_node").write_text(f"{node}\n")
    assert near(nvml_here, *FOUR, pci=tmp_path) == {"numa": ["01"]}
    # the driver goes before the kernel
    assert near(nvml_here, *FOUR, f"common 0 1 {SYSTEM}", f"common 0 2 {NODE}", pci=tmp_path) == {
        "numa": ["02"]
    }


def test_an_older_binding_and_driver_know_less(nvml_here: MockNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "nvmlDeviceGetP2PStatus",
        "nvmlDeviceGetCpuAffinityWithinScope",
        "nvmlDeviceGetNvLinkRemoteDeviceType",
    ):
        monkeypatch.delattr(pynvml, name)
    assert near(nvml_here, *FOUR, "nvlink 0 1", "cores 2 1", "cores 3 1") == {"nvlink": ["01"]}


def test_instances_reach_nobody_and_cards_beside_them_do(nvml_here: MockNvml) -> None:
    cards = [*FOUR, "mig 0 1", instance_line(0, 1), instance_line(0, 2)]
    assert near(nvml_here, *cards, "nvlink 0 1", "nvlink 2 3", f"common 0 1 {NODE}") == {"nvlink": ["23"]}


def test_a_gpu_that_cannot_be_read_costs_what_is_known_of_itself_only(nvml_here: MockNvml) -> None:
    assert near(nvml_here, *FOUR, "nvlink 0 1", "nvlink 2 3", f"common 0 1 {NODE}", "nvlink 1 2", "cores 3 1") == {
        "nvlink": ["01", "12", "23"], "numa": ["01"],
    }  # fmt: skip
    nvml_here.write(*FOUR, "nvlink 0 1", "nvlink 2 3")
    nvml = Nvml()
    gpus = nvml.find()[0]
    nvml_here.add("fail 1 999")
    assert nvml.ties(gpus).pairs[Tie.NVLINK] == {(gpu_uuid(2), gpu_uuid(3))}


def test_a_gpu_that_falls_off_the_bus_does_not_undo_what_was_known(nvml_here: MockNvml) -> None:
    nvml_here.write(*FOUR, "nvlink 0 1", "nvlink 2 3")
    nvml = Nvml()
    gpus = nvml.find()[0]
    found = GpuNear(nvml, lambda: gpus)
    assert found.ask()
    nvml_here.add("lost 1")
    assert not found.ask()
    assert readable(found.known) == {"nvlink": ["01", "23"]}
    assert readable(found.known.among([gpu.uuid for gpu in gpus if gpu.index != 1])) == {"nvlink": ["23"]}
