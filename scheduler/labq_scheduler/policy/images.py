"""What a job's image needs before the job can start. Pure.

A failure counts only when it is younger than the job: who submits again after mending a Dockerfile's
network or pushing an image gets a new try.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass

from labq.ending import EndReason
from labq.image import Image, ImageOnNode
from labq.job import Job
from labq_scheduler.decisions import Prepare
from labq_scheduler.policy.fit import could_hold
from labq_scheduler.policy.rules import Rules
from labq_scheduler.snapshot import Snapshot

#: Seconds after which an agent that still prepares an image is asked again. It joins what it is doing already.
ASK_AGAIN = 60.0
#: Nodes that are named in a sentence.
NAMED = 4


@dataclass(frozen=True, slots=True)
class ImageStep:
    """Where the image is, and what to do about it."""

    #: nodes that could hold the job (with or without the image)
    could: Collection[str] = ()
    #: of these, nodes that have the image
    ready: Set[str] = frozenset()
    prepare: Prepare | None = None
    #: True: the preparation only adds a node to those that have it
    spread: bool = False
    refuse: tuple[EndReason, str] | None = None
    wait: str = ""


class Stock:
    """Which nodes have an image or prepare it, while one decision is made."""

    def __init__(self, images: Mapping[str, Image]) -> None:
        """Begin with what is known of images, by key."""
        self._images = images
        self._ready: dict[str, frozenset[str]] = {}
        #: node -> images that it prepares
        self.preparing: dict[str, set[str]] = {}
        for key, image in images.items():
            for node, said in image.nodes.items():
                if said.state == "preparing":
                    self.preparing.setdefault(node, set()).add(key)

    def ready_on(self, key: str) -> frozenset[str]:
        """Return the nodes that have an image."""
        found = self._ready.get(key)
        if found is None:
            image = self._images.get(key)
            names = () if image is None else (name for name in image.nodes if image.ready_on(name))
            found = self._ready[key] = frozenset(names)
        return found

    def ask(self, prepare: Prepare) -> None:
        """Note that a node will prepare an image."""
        self.preparing.setdefault(prepare.node, set()).add(prepare.key)


def image_step(
    job: Job,
    ready_on: Set[str],
    could_hold_it: Set[str],
    fitting: Set[str],
    snapshot: Snapshot,
    preparing: Mapping[str, set[str]],
    rules: Rules,
) -> ImageStep:
    """Return the next step for the image of ``job``.

    Args:
        job: the job.
        ready_on: nodes that have the image.
        could_hold_it: nodes that could, if nothing else ran there; at least one.
        fitting: those with room for it now.
        snapshot: the lab.
        preparing: node -> images that it prepares.
        rules: how many it may prepare at the same time.
    """
    has = ready_on & could_hold_it
    if has and (not fitting or not has.isdisjoint(fitting)):
        return ImageStep(could_hold_it, has)
    image = snapshot.images.get(job.image_key, Image(job.image_key))
    could = sorted(could_hold_it)
    said = {name: image.nodes[name] for name in could if name in image.nodes}
    failed = {name: s for name, s in said.items() if s.state == "failed" and s.at >= job.submitted_at}
    ready = has
    built = job.image_key.startswith("ctx:")
    if failed and not ready and (built or len(failed) == len(could)):
        return ImageStep(could, refuse=_refusal(failed))
    under_way = [name for name in could if job.image_key in preparing.get(name, ())]
    untried = [name for name in could if name not in failed and name not in ready and name not in under_way]
    lost = [name for name in under_way if _is_lost(said.get(name), snapshot.now)]
    wait = "its image is being prepared on " + ", ".join(under_way) if under_way else ""
    if ready:
        # Elsewhere there is room for it now and here there is not: bring the image there.
        free = [name for name in untried if name in fitting]
        if under_way or not free:
            return ImageStep(could, ready)
        return ImageStep(could, ready, _prepare(job, free, preparing, rules, fitting), spread=True)
    if lost:
        again = Prepare(job.image_key, lost[0], job.id, "no answer yet: asked again")
        return ImageStep(could, prepare=again, wait=wait)
    if under_way or not untried:
        return ImageStep(could, wait=wait or "its image is not ready")
    prepare = _prepare(job, untried, preparing, rules, fitting)
    text = (
        f"its image is next to be prepared on {prepare.node}"
        if prepare
        else "nodes are busy preparing other images"
    )
    return ImageStep(could, prepare=prepare, wait=text)


def bring(job: Job, node: str, preparing: Mapping[str, set[str]], rules: Rules) -> Prepare | None:
    """Return that a node is to prepare the image of a job; None when it does already, or does as much as it may."""
    busy = preparing.get(node, ())
    if job.image_key in busy or len(busy) >= rules.prepares_per_node:
        return None
    return Prepare(job.image_key, node, job.id, f"others can be stopped there for job {job.id}")


def _is_lost(said: ImageOnNode | None, now: float) -> bool:
    """Return whether a preparation may never have been heard of: the message may have been lost."""
    return said is not None and said.state == "preparing" and now - said.at > ASK_AGAIN


def _prepare(
    job: Job, names: list[str], preparing: Mapping[str, set[str]], rules: Rules, fitting: Set[str]
) -> Prepare | None:
    free = [name for name in names if len(preparing.get(name, ())) < rules.prepares_per_node]
    if not free:
        return None
    # where it could start soonest, then where least is being prepared
    node = min(free, key=lambda n: (n not in fitting, len(preparing.get(n, ())), n))
    return Prepare(job.image_key, node, job.id, f"job {job.id} needs it")


def _refusal(failed: Mapping[str, ImageOnNode]) -> tuple[EndReason, str]:
    node, said = min(failed.items())
    reason = EndReason(said.reason) if said.reason else EndReason.IMAGE_NOT_FOUND
    return reason, f"Failed: {said.error}" if said.error else f"Failed: its image could not be had on {node}."


def failed_on(job: Job, images: Mapping[str, Image]) -> frozenset[str]:
    """Return the nodes on which the image of a job could not be had since it was submitted."""
    image = images.get(job.image_key, Image(job.image_key))
    return frozenset(
        name for name, said in image.nodes.items() if said.state == "failed" and said.at >= job.submitted_at
    )


def no_node(job: Job, snapshot: Snapshot) -> str:
    """Return why there is no node at all that takes work and could hold a job."""
    known = [node for node in snapshot.nodes if could_hold(job.spec, node)]
    if not snapshot.nodes:
        return "no node has joined the lab yet; start one with labq-worker"
    if not known:
        return f"no node of the lab can hold it any more ({job.spec.gpus} GPUs); cancel it or add a node"
    states = ", ".join(
        f"{node.name} is {'drained: ' + node.drained if node.drained else 'not answering'}"
        for node in known[:NAMED]
    ) + (f", and {len(known) - NAMED} more" if len(known) > NAMED else "")
    return f"every node that could hold it is away: {states}"
