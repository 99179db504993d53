"""What a restore takes from a tar that somebody else made up, and which backups an odd clock leaves."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from labq.errors import BadInputError
from labq_scheduler.backup.make import prune
from labq_scheduler.backup.restore import _extract


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, link, 0o640
    return made


def write(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as tar:
        for each in members:
            each.size = 4 if each.isreg() else 0
            tar.addfile(each, io.BytesIO(b"evil") if each.isreg() else None)
    return path


@pytest.mark.parametrize(
    "members",
    [
        [member("s/../../out/x")],
        [member("s//etc/x")],
        [member("s/link", tarfile.SYMTYPE, "../../out"), member("s/link/x")],
        [member("s/a", tarfile.SYMTYPE, "../out"), member("s/a/x", tarfile.SYMTYPE, "/etc/passwd")],
        [member("s/hard", tarfile.LNKTYPE, "../out/precious")],
        [member("s/dev", tarfile.CHRTYPE)],
        [member("s/pipe", tarfile.FIFOTYPE)],
    ],
)
def test_nothing_of_a_tar_is_written_outside_of_its_place(
    tmp_path: Path, members: list[tarfile.TarInfo]
) -> None:
    out, target = tmp_path / "out", tmp_path / "target"
    out.mkdir()
    target.mkdir()
    (out / "precious").write_text("mine")
    try:
        _extract(write(tmp_path / "a.tar", *members), target, "s/")
    except BadInputError as error:
        assert "is none of what labq saves" in error.what
    assert [each.name for each in out.iterdir()] == ["precious"]
    assert (out / "precious").read_text() == "mine"
    assert (out / "precious").stat().st_nlink == 1
    assert not [each for each in target.rglob("*") if each.is_char_device() or each.is_fifo()]


def test_files_directories_and_links_of_a_volume_come_back(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    directory = member("plugins", tarfile.DIRTYPE)
    directory.mode = 0o750
    tar = write(
        tmp_path / "a.tar", member("latest", tarfile.SYMTYPE, "plugins/v1"), directory, member("plugins/v1")
    )
    _extract(tar, target)
    assert (target / "latest").read_text() == "evil"
    assert (target / "plugins/v1").stat().st_mode & 0o777 == 0o640


def test_a_tar_that_was_cut_is_told_in_a_sentence(tmp_path: Path) -> None:
    tar = write(tmp_path / "a.tar", member("secrets/x"), member("secrets/y"))
    tar.write_bytes(tar.read_bytes()[:700])
    with pytest.raises(BadInputError, match="cannot be read"):
        _extract(tar, tmp_path, "secrets/")


def test_the_backup_that_was_just_taken_stays_though_a_wrong_clock_gave_others_later_names(
    tmp_path: Path,
) -> None:
    names = ["20260101T000000Z", "20990101T000000Z", "20990102T000000Z"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "MANIFEST.json").touch()
    assert [each.name for each in prune(tmp_path, 2, tmp_path / names[0])] == [names[1]]
    assert [each.name for each in prune(tmp_path, 0, tmp_path / names[0])] == [names[2]]
    assert (tmp_path / names[0]).exists()
