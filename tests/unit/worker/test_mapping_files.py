"""The files of dcgm-exporter and jobstats."""

from __future__ import annotations

from pathlib import Path

from labq.holding.facts import LeaseFacts
from labq_worker.mapping_files import MappingFiles

SLOTS = {"GPU-a": "0", "MIG-b": "1.3", "GPU-c": "2"}


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_each_gpu_has_its_jobs_while_it_is_leased(tmp_path: Path) -> None:
    dcgm, jobstats = tmp_path / "dcgm", tmp_path / "gpustat"
    writer = MappingFiles(dcgm, jobstats)
    leases = [
        LeaseFacts("t2", "8", 1, "bob", {"MIG-b": 2**30}),
        LeaseFacts("t1", "7.1", 1, "ann", {"GPU-a": 0, "MIG-b": 2**30}),
    ]
    writer.write(leases, {"t1": 1001, "t2": 1002}, SLOTS)
    assert files(dcgm) == {"0": "7.1\n", "1.3": "7.1\n8\n"}
    assert files(jobstats) == {"GPU-a": "7.1 1001\n", "MIG-b": "7.1 1001\n"}
    writer.write(leases[:1], {"t2": 1002}, SLOTS)
    assert files(dcgm) == {"1.3": "8\n"}
    assert files(jobstats) == {"MIG-b": "8 1002\n"}


def test_what_an_agent_left_behind_is_put_right_by_the_next_one_and_other_files_are_left_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "0").write_text("99\n")
    (tmp_path / "README").write_text("not ours\n")
    MappingFiles(tmp_path, None).write([], {}, SLOTS)
    assert files(tmp_path) == {"README": "not ours\n"}


def test_without_directories_nothing_is_written(tmp_path: Path) -> None:
    MappingFiles(None, None).write([LeaseFacts("t", "7", 1, "ann", {"GPU-a": 0})], {"t": 1}, SLOTS)
    assert list(tmp_path.iterdir()) == []
