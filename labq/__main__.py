"""``python -m labq`` is ``labq``."""

from __future__ import annotations

from labq.cli import main

main()
