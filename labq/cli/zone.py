"""The time zone of the machine where somebody types."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def local_zone(environ: Mapping[str, str], etc: str = "/etc") -> str:
    """Return the IANA name of the time zone here, such as Asia/Tokyo; "" when none is said, or UTC.

    Args:
        environ: ``TZ`` counts most.
        etc: folder of ``localtime``, a link into a folder ``zoneinfo``, and of Debian's ``timezone``.
    """
    said = (
        environ.get("TZ", "").removeprefix(":") or _linked(f"{etc}/localtime") or _written(f"{etc}/timezone")
    )
    # "JST-9" and "/etc/localtime" are legal for TZ and name no zone.
    return said if "/" in said and not said.startswith(("/", "Etc/")) else ""


def _linked(path: str) -> str:
    try:
        return os.readlink(path).partition("zoneinfo/")[2]
    except OSError:
        return ""


def _written(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(100).strip()
    except (OSError, ValueError):
        return ""
