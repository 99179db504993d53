"""A directory to pack."""

import os
from pathlib import Path

LONG = "d" * 120 + "/" + "e" * 200


def make(root: Path) -> Path:
    """A tree with everything that is legal."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "Dockerfile").write_text("FROM scratch\n")
    (root / LONG).mkdir(parents=True)
    (root / LONG / ("f" * 90)).write_bytes(bytes(range(256)) * 5)
    (root / "empty").mkdir()
    (root / "zero").touch()
    (root / "block").write_bytes(b"x" * 512)
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o4755)
    (root / "a-b").write_text("1")
    (root / "a").mkdir()
    (root / "a" / "日本 ☺").write_text("2")
    (root / "a.b").write_text("3")
    (root / "link").symlink_to("x" * 300)
    (root / "dirlink").symlink_to("a")
    (root / "hard").hardlink_to(root / "a.b")
    with open(os.fsencode(root) + b"/\xff\xfe.bin", "wb") as file:
        file.write(b"4")
    return root
