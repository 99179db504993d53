"""The disk of a node: what the agent tells of it, and what becomes of a job that writes more than it asked for."""

import shutil
from collections.abc import Callable

import pytest
from integration.worker.node import AgentNode
from support.waiting import wait_for

from labq.ending import EndReason
from labq.states import JobState

MB = 2**20
#: Writes as much as it is told, in the container itself, in /outputs or in its home, then sleeps.
WRITES = "head -c {size} /dev/zero > {where}/big; echo ready; sleep 60"


@pytest.fixture(scope="module")
def quick(make_node: Callable[..., AgentNode]) -> AgentNode:
    """A node whose agent looks at the disk all the time."""
    found = make_node("n1", {"LABQ_NODE_DISK_INTERVAL": "0.2s"})
    found.start()
    return found


@pytest.mark.parametrize("where", ["/tmp", "/outputs", "$HOME"])
def test_who_writes_more_than_asked_for_is_stopped_and_told_so(quick: AgentNode, where: str) -> None:
    job = quick.run(WRITES.format(size=8 * MB, where=where), disk="5MB", grace="1s")
    assert (job.state, job.end_reason) == (JobState.FAILED, EndReason.DISK_LIMIT)
    assert (job.verdict or "").startswith("Failed: it wrote more than its --disk 5MB and was stopped after")
    assert (job.verdict or "").endswith("ask for more with --disk.")


def test_who_writes_less_goes_on(quick: AgentNode) -> None:
    script = "head -c 3000000 /dev/zero > /outputs/big; sleep 2; echo done"
    assert quick.run(script, disk="5MB").state is JobState.SUCCEEDED


def test_who_did_not_ask_is_not_measured(quick: AgentNode) -> None:
    script = "head -c 8000000 /dev/zero > /outputs/big; sleep 1; echo done"
    assert quick.run(script).state is JobState.SUCCEEDED


def test_a_job_that_an_agent_finds_again_is_measured_too(make_node: Callable[..., AgentNode]) -> None:
    node = make_node("n2", {"LABQ_NODE_DISK_INTERVAL": "0.2s"})
    node.start()
    script = (
        "until [ -e /outputs/go ]; do sleep 0.05; done; head -c 8000000 /dev/zero > /outputs/big; sleep 60"
    )
    job_id = node.begin(script, disk="5MB", grace="1s")
    node.kill()
    (node.outputs(job_id) / "go").touch()
    node.start()
    assert node.final(job_id).end_reason is EndReason.DISK_LIMIT


def test_the_agent_tells_what_its_setting_says(make_node: Callable[..., AgentNode]) -> None:
    node = make_node("n3", {"LABQ_NODE_DISK": "5GB"})
    node.start()
    assert node.node().disk == 5 * 2**30


def test_without_a_setting_it_tells_less_than_is_free(quick: AgentNode) -> None:
    told = wait_for(lambda: quick.node().disk, 10, "the agent to tell its disk", hint=quick.said)
    assert told is not None
    # nobody has a promise here, and the agent keeps a reserve that is larger than what it may be late by
    assert told < shutil.disk_usage(quick.data).free
