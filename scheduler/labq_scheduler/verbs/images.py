"""Images: where each is ready, and the log of its latest preparation."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from labq.clock import rfc3339
from labq.errors import NotFoundError
from labq.image import Image
from labq_scheduler.verbs.lab import Lab


def show_image(lab: Lab, key: str) -> dict[str, Any]:
    """Return what each node says of the image.

    Raises:
        NotFoundError: nobody ever asked for it.
    """
    image = _image(lab, key)
    nodes = {node: asdict(said) | {"at": rfc3339(said.at)} for node, said in sorted(image.nodes.items())}
    return {"key": key, "nodes": nodes}


def log_path(lab: Lab, key: str) -> Path:
    """Return the log of the image's latest preparation.

    Raises:
        NotFoundError: there is none.
    """
    path = latest_log(lab, key)
    if path is None:
        raise NotFoundError(
            f"image {key[:300]!r} has no build log", "it was not built or pulled through labq"
        )
    return path


def latest_log(lab: Lab, key: str) -> Path | None:
    """Return the log of the image's latest preparation, or None."""
    said = lab.store.images.get(key).nodes
    for node in sorted(said, key=lambda name: said[name].at, reverse=True):
        path = lab.files.build_log(key, node, said[node].run)
        if path.exists():
            return path
    return None


def _image(lab: Lab, key: str) -> Image:
    image = lab.store.images.get(key)
    if not image.nodes and key not in lab.store.images.all_keys():
        raise NotFoundError(
            f"there is no image {key[:300]!r}",
            "keys look like ref:NAME or ctx:DIGEST; labq show JOB --json names a job's",
        )
    return image
