"""Which time zone a machine is in, as far as it says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from labq.cli.zone import local_zone


@pytest.mark.parametrize(
    ("said", "zone"),
    [
        ("Asia/Tokyo", "Asia/Tokyo"),
        (":Europe/Berlin", "Europe/Berlin"),
        ("America/Argentina/Ushuaia", "America/Argentina/Ushuaia"),
        ("JST-9", ""),
        ("/etc/localtime", ""),
        ("UTC", ""),
        ("Etc/UTC", ""),
    ],
)
def test_what_the_environment_says_counts_most(said: str, zone: str, tmp_path: Path) -> None:
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Asia/Seoul")
    assert local_zone({"TZ": said}, str(tmp_path)) == zone


def test_else_the_link_else_debians_file_else_nothing(tmp_path: Path) -> None:
    assert local_zone({}, str(tmp_path)) == ""
    (tmp_path / "timezone").write_text("Asia/Seoul\n")
    assert local_zone({}, str(tmp_path)) == "Asia/Seoul"
    (tmp_path / "localtime").symlink_to("../usr/share/zoneinfo/Asia/Tokyo")
    assert local_zone({"TZ": ""}, str(tmp_path)) == "Asia/Tokyo"
