"""The files of dcgm-exporter and jobstats."""

from __future__ import annotations

from pathlib import Path

from labq.holding.facts import LeaseFacts
from labq_worker.mapping_files import MappingFiles

SLOTS = {"GPU-a": "0", "MIG-b": "1.3", "GPU-c": "2"}


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir()) if path.name != ".labq"}


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


def test_the_file_of_a_gpu_that_is_no_more_is_removed_also_after_a_restart_of_the_agent(
    tmp_path: Path,
) -> None:
    dcgm, jobstats = tmp_path / "dcgm", tmp_path / "gpustat"
    leases = [LeaseFacts("t", "7.1", 1, "ann", {"GPU-a": 0, "MIG-b": 0})]
    for restarted in (False, True):
        writer = MappingFiles(dcgm, jobstats)
        writer.write(leases, {"t": 1001}, SLOTS)
        assert set(files(dcgm)) == {"0", "1.3"}
        after = MappingFiles(dcgm, jobstats) if restarted else writer
        after.write(leases, {"t": 1001}, {})
        assert set(files(dcgm)) == {"0", "1.3"}  # no GPU was named yet: nothing is known to be gone
        after.write(leases, {"t": 1001}, {"GPU-a": "0"})
        assert (set(files(dcgm)), set(files(jobstats))) == ({"0"}, {"GPU-a"})


def test_what_others_wrote_of_other_gpus_is_left_alone(tmp_path: Path) -> None:
    writer = MappingFiles(tmp_path, None)
    writer.write([LeaseFacts("t", "7", 1, "ann", {"MIG-b": 0, "GPU-c": 0})], {}, SLOTS)
    (tmp_path / "5").write_text("4711\n")  # another batch system's, of a GPU that labq does not have
    (tmp_path / "1.3").write_text("somebody else took this name\n")
    with (tmp_path / ".labq").open("a") as memory:
        memory.write("../outside\nREADME\n")
    (tmp_path / "README").write_text("1\n")
    MappingFiles(tmp_path, None).write([], {}, {"GPU-a": "0"})
    assert files(tmp_path) == {"5": "4711\n", "1.3": "somebody else took this name\n", "README": "1\n"}


def test_without_directories_nothing_is_written(tmp_path: Path) -> None:
    MappingFiles(None, None).write([LeaseFacts("t", "7", 1, "ann", {"GPU-a": 0})], {"t": 1}, SLOTS)
    assert list(tmp_path.iterdir()) == []
