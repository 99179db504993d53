"""What the exporter's service sees of the machine."""

from __future__ import annotations

import pytest

from labq.systemd import unit_text


@pytest.mark.parametrize("name", ["labq-exporter", "labq-worker"])
def test_agent_and_exporter_see_the_same_directories_and_so_name_the_same_people(name: str) -> None:
    """Homes and compose directories may be anywhere, in /tmp as well."""
    rows = unit_text(name).splitlines()
    said = dict(row.split("=", 1) for row in rows if "=" in row and not row.startswith("#"))
    assert said.get("PrivateTmp", "no") == "no"
    assert said.get("ProtectHome", "no") in {"no", "read-only"}
    assert not {"TemporaryFileSystem", "InaccessiblePaths", "RootDirectory"} & set(said)
