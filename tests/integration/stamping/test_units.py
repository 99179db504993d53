"""The units say what systemd understands, and tie nothing to Docker."""

import shutil
import subprocess
from pathlib import Path

from support.need import need

from labq.systemd import unit_text


def test_systemd_finds_no_fault_with_the_units(tmp_path: Path) -> None:
    need(shutil.which("systemd-analyze"), "systemd-analyze (apt-get install systemd)")
    for name in ("labq-docker-stamp.socket", "labq-docker-stamp.service"):
        # The program is where the how-to installs it, which is not here.
        text = unit_text(name).replace("/opt/labq/current/bin/labq-docker-stamp", "/bin/true")
        (tmp_path / name).write_text(text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_end_of_the_proxy_is_no_end_of_docker_nor_the_other_way_round() -> None:
    for name in ("labq-docker-stamp.socket", "labq-docker-stamp.service"):
        lines = unit_text(name).splitlines()
        ties = [
            line
            for line in lines
            if line.startswith(("Requires=", "BindsTo=", "PartOf=", "Wants=", "After="))
        ]
        assert not [line for line in ties if "docker.service" in line or line.endswith("docker.socket")], ties
