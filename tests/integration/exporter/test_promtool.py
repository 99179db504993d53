"""What Prometheus' own tool says of the page."""

import shutil
import subprocess

from support.exporter import RunningExporter
from support.exporter_snapshot import GOLDEN
from support.need import need


def complaints(page: str) -> str:
    need(shutil.which("promtool"), "promtool (apt-get install prometheus)")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    return f"{done.returncode} {done.stdout}{done.stderr}"


def test_it_has_nothing_to_say_of_the_page_that_has_everything() -> None:
    assert complaints(GOLDEN.read_text()) == "0 "


def test_it_has_nothing_to_say_of_a_real_page(exporter: RunningExporter) -> None:
    assert complaints(exporter.page().text) == "0 "


def test_it_does_complain_of_what_is_wrong() -> None:
    page = "# HELP labq_x x\n# TYPE labq_x counter\nlabq_x 1\n"
    assert "labq_x counter metrics should have" in complaints(page)
