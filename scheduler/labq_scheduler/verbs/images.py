"""Images: where each is ready, and the log of its latest preparation."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from labq.clock import rfc3339
from labq.errors import NotAllowedError, NotFoundError
from labq.image import Image
from labq.states import FINAL
from labq.store import Person
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.listing import Question

#: A person's latest recorded jobs that are looked through for an image.
_MOST_RECORDED = 1000


def show_image(lab: Lab, key: str) -> dict[str, Any]:
    """Return what each node says of the image.

    Raises:
        NotFoundError: nobody ever asked for it.
    """
    image = _image(lab, key)
    nodes = {node: asdict(said) | {"at": rfc3339(said.at)} for node, said in sorted(image.nodes.items())}
    return {"key": key, "nodes": nodes}


def log_path(lab: Lab, key: str, person: Person, *, now: float) -> Path:
    """Return the log of the image's latest preparation.

    A build prints what its context and build arguments say: that is for those who have a job with this image.

    Raises:
        NotAllowedError: the image was built from a directory, and the person has no job with it.
        NotFoundError: there is none.
    """
    if key.startswith("ctx:") and not person.admin and not _has_job(lab, key, person, now):
        raise NotAllowedError(
            f"{person.name} has no job with image {key[:300]!r}, so its build log is not shown",
            "ask the owner of the job, or an admin",
        )
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


def _has_job(lab: Lab, key: str, person: Person, now: float) -> bool:
    mine = (job for job in list(lab.board.jobs.values()) if job.owner == person.name)
    if any(job.image_key == key for job in mine):
        return True
    recorded, _ = lab.history.find(Question(person.name, FINAL, limit=_MOST_RECORDED), until=now)
    return any(job.image_key == key for job in recorded)


def _image(lab: Lab, key: str) -> Image:
    image = lab.store.images.get(key)
    if not image.nodes and key not in lab.store.images.all_keys():
        raise NotFoundError(
            f"there is no image {key[:300]!r}",
            "keys look like ref:NAME or ctx:DIGEST; labq show JOB --json names a job's",
        )
    return image
