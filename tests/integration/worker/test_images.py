"""Images: found, built, failed; the state that the scheduler reads, and the log that a person reads."""

import hashlib
import io
import secrets
import tarfile

from integration.worker.conftest import Maker
from integration.worker.node import BUSYBOX, AgentNode
from support.engine import Engine
from support.waiting import wait_for

from labq import wire
from labq.image import ImageOnNode, image_tag
from labq.logfile import read_frames
from labq.states import JobState


def context(node: AgentNode, dockerfile: str, **files: str) -> str:
    """Put a build context where the server keeps it; return its SHA-256. Each is new: the engine's images stay."""
    files["nonce"] = secrets.token_hex(8)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in {"Dockerfile": dockerfile, **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    path = node.data / "contexts" / f"{digest}.tar"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed.getvalue())
    return digest


def prepare(node: AgentNode, job_id: str, *states: str) -> ImageOnNode:
    """Ask for the image of a job and wait for what becomes of it."""
    key = node.store.jobs.get(job_id).image_key
    node.queue.enqueue_call(wire.PREPARE, args=[key, job_id], result_ttl=0)

    def said() -> ImageOnNode | None:
        found = node.store.images.get(key).nodes.get(node.name)
        return found if found is not None and found.state in (states or ("ready", "failed")) else None

    found = wait_for(said, 60, f"image {key}", hint=node.said)
    assert found is not None
    return found


def build_log(node: AgentNode, job_id: str, run: int = 1) -> str:
    """The log of a preparation."""
    key = node.store.jobs.get(job_id).image_key.replace(":", "-").replace("/", "_")
    path = node.data / "logs" / "images" / f"{key}@{node.name}-{run}.labqlog"
    return b"".join(frame.payload for frame in read_frames(path)).decode()


def test_build_and_run(node: AgentNode) -> None:
    dockerfile = (
        f"FROM {BUSYBOX}\nARG WHO\nCOPY hello /hello\nRUN echo built for $WHO > /who\nCMD cat /hello /who\n"
    )
    digest = context(node, dockerfile, hello="hello\n")
    job_id = node.submit([], context=digest, build_args={"WHO": "bob"})
    said = prepare(node, job_id)
    assert (said.state, said.run) == ("ready", 1)
    assert said.image_id.startswith("sha256:")
    assert "Step 3/5 : COPY hello /hello" in build_log(node, job_id)
    node.claim(job_id)
    job = node.final(job_id)
    assert job.state is JobState.SUCCEEDED
    assert job.image_id == said.image_id
    assert node.log(job_id) == b"hello\nbuilt for bob\n"
    again = prepare(node, job_id)
    assert (again.state, again.run) == ("ready", 1)  # nothing was built


def test_a_step_that_fails(node: AgentNode) -> None:
    before = _left_over(node)
    digest = context(node, f"FROM {BUSYBOX}\nRUN echo fine\nRUN echo no such module >&2; exit 3\n")
    job_id = node.submit([], context=digest)
    said = prepare(node, job_id)
    assert (said.state, said.reason) == ("failed", "image_build_failed")
    assert said.error.startswith("step 3/3 (RUN echo no such module >&2; exit 3) failed with exit code 3")
    assert said.error.endswith("last line: no such module")
    assert "no such module" in build_log(node, job_id)
    assert _left_over(node) == before


def _left_over(node: AgentNode) -> set[str]:
    """Containers of build steps; an engine that was restarted in mid-build keeps its own for ever."""
    found = node.docker.api.containers(all=True, filters={"status": "exited", "ancestor": BUSYBOX})
    return {container["Id"] for container in found}


def test_a_base_image_that_cannot_be_had(node: AgentNode) -> None:
    digest = context(node, "FROM 127.0.0.1:9/no/such-base:7\nRUN true\n")
    said = prepare(node, node.submit([], context=digest))
    assert (said.state, said.reason) == ("failed", "image_build_failed")
    assert said.error.startswith("base image 127.0.0.1:9/no/such-base:7 is not on this node")


def test_a_context_that_has_gone_and_a_dockerfile_that_is_not_there(node: AgentNode) -> None:
    said = prepare(node, node.submit([], context="0" * 64))
    assert said.state == "failed"
    assert "gone from the server" in said.error
    digest = context(node, f"FROM {BUSYBOX}\n")
    said = prepare(node, node.submit([], context=digest, dockerfile="docker/other.Dockerfile"))
    assert said.state == "failed"
    assert "other.Dockerfile" in said.error


def test_named_images(node: AgentNode) -> None:
    here = prepare(node, node.submit("true"))
    assert (here.state, here.image_id) == ("ready", node.docker.images.get(BUSYBOX).id)
    absent = node.submit("true", image="127.0.0.1:9/no/such:1")
    said = prepare(node, absent)
    assert (said.state, said.reason) == ("failed", "image_not_found")
    assert said.error.startswith("image 127.0.0.1:9/no/such:1 is not on this node")
    again = prepare(node, absent, "failed")
    assert again.state == "failed"


def state_of(node: AgentNode, key: str) -> str:
    """What the node says of an image."""
    return node.store.images.get(key).nodes["images"].state


def test_many_requests_build_once_and_a_restart_checks_what_is_there(make_node: Maker) -> None:
    node = make_node("images")
    node.start()
    digest = context(node, f"FROM {BUSYBOX}\nCOPY nonce /\nRUN sleep 1\n")
    ids = [node.submit([], context=digest) for _ in range(3)]
    key = node.store.jobs.get(ids[0]).image_key
    for job_id in ids:
        node.queue.enqueue_call(wire.PREPARE, args=[key, job_id], result_ttl=0)
    said = prepare(node, ids[0], "ready")
    assert said.run == 1
    node.kill()
    node.docker.images.remove(image_tag(key), force=True)
    left = "ctx:" + "1" * 64
    node.store.images.set(left, "images", ImageOnNode("preparing", 0.0, run=4))
    node.start()
    wait_for(lambda: state_of(node, key) == "absent", 10, "the absent image to be forgotten")
    wait_for(lambda: state_of(node, left) == "absent", 10, "what nobody wants to be forgotten")


def test_an_engine_that_restarts_during_a_build_costs_time_and_not_the_image(
    make_node: Maker, engine: Engine
) -> None:
    node = make_node("rebuild")
    node.start()
    digest = context(node, f"FROM {BUSYBOX}\nCOPY nonce /\nRUN echo begun; sleep 3; echo over\n")
    job_id = node.submit([], context=digest)
    key = node.store.jobs.get(job_id).image_key
    # As the scheduler writes it before its message: one preparation takes one number.
    node.store.images.set(key, node.name, ImageOnNode("preparing", 0.0, run=3))
    node.queue.enqueue_call(wire.PREPARE, args=[key, job_id], result_ttl=0)
    wait_for(lambda: "begun\n" in build_log(node, job_id, 3), 20, "the build", hint=node.said)
    engine.restart()
    said = prepare(node, job_id)
    assert (said.state, said.run) == ("ready", 3), said.error
    text = build_log(node, job_id, 3)
    assert "the engine went away" in text
    assert "over\n" in text
