"""A broken machine is wiped, and is back in the lab by one command."""

import time

import pytest
from nodes.conftest import Provisioned
from support.engine import BUSYBOX

pytestmark = pytest.mark.timeout(1200)


def test_a_node_that_was_wiped_takes_jobs_again_after_one_command(whole: Provisioned) -> None:
    lab, node = whole.lab, whole.gpu02
    began = time.monotonic()
    node.wipe()
    assert node.exec("command -v docker labq-worker").stdout == ""
    # Its host key is another: without being told so, nobody believes it.
    refused = lab.run("provision", "preflight", "--limit", "gpu02")
    assert not refused.ok
    assert refused.body["stats"]["gpu02"]["unreachable"] == 1
    run = lab.succeeds("node", "add", "gpu02", "--new-key")
    node.load(BUSYBOX)
    job = lab.submit(node="rack=2", script="echo back")
    assert lab.labq("wait", job, "--timeout", "120s", check=False).returncode == 0, lab.labq(
        "show", job
    ).stdout
    assert lab.labq("logs", job).stdout == "back\n"
    print(
        f"from a broken machine to a job that ended there: {time.monotonic() - began:.0f} s, the play {run.seconds:.0f} s"
    )
