"""Image readiness: a record of its own, shared by all jobs that use the image. Pure.

The key of an image is ``ref:<reference>`` for a named image, or ``ctx:<digest>`` for one that is built:
the digest covers the context, the Dockerfile's path and the build arguments, so that the same tree
is built once on a node and never twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from labq.spec import JobSpec


@dataclass(frozen=True, slots=True)
class ImageOnNode:
    """What one node says of one image."""

    #: "preparing", "ready", "failed" or "absent" (it was there, and has gone)
    state: str
    #: seconds since the epoch of the last change
    at: float
    #: the engine's image id when ready
    image_id: str = ""
    #: EndReason value and sentence when failed
    reason: str = ""
    error: str = ""
    #: increases with each preparation on this node; names its log
    run: int = 0


@dataclass(frozen=True, slots=True)
class Image:
    """One image and where it is."""

    key: str
    nodes: Mapping[str, ImageOnNode] = field(default_factory=dict)

    def ready_on(self, node: str) -> bool:
        """Return whether ``node`` has it."""
        found = self.nodes.get(node)
        return found is not None and found.state == "ready"


def image_key(spec: JobSpec) -> str:
    """Return the key of the image that the spec needs."""
    if spec.image:
        return f"ref:{spec.image}"
    parts = [spec.context, spec.dockerfile, sorted(spec.build_args.items())]
    return "ctx:" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def image_tag(key: str) -> str:
    """Return the name under which the engine knows the image of ``key``."""
    return key.removeprefix("ref:") if key.startswith("ref:") else f"labq/built:{key[4:36]}"
