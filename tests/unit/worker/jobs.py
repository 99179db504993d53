"""Jobs for the unit tests of the agent."""

from dataclasses import replace
from typing import Any

from labq.image import image_key
from labq.job import GpuHold, Job
from labq.spec import JobSpec
from labq.states import JobState


def job(gpus: tuple[str, ...] = (), **given: Any) -> Job:
    """A job that is starting on n1; keys of a spec as people write it, or fields of the record."""
    fields = {key: given.pop(key) for key in list(given) if key in Job.__dataclass_fields__ and key != "spec"}
    spec = JobSpec.from_wire({"image": "busybox", **given})
    made = Job(
        id="1042", owner="alice", uid=1001, gid=1002, spec=spec, state=JobState.STARTING, submitted_at=1.0, seq=7,
        image_key=image_key(spec), attempt=2, lease="abcdef0123456789", node="n1",
        gpus=tuple(GpuHold(uuid) for uuid in gpus), cpus=2.0, memory=2**30,
    )  # fmt: skip
    return replace(made, **fields)
