"""Every byte of a container's output is in its log file, at once, in order, once."""

import hashlib

from integration.worker.node import AgentNode
from support.waiting import wait_for

from labq.clock import now
from labq.states import JobState


def test_a_long_line_bytes_of_any_encoding_and_no_last_newline(node: AgentNode) -> None:
    script = r"printf '\377\376\000\r\n'; head -c 100000 /dev/zero | tr '\0' z; echo; printf end"
    job = node.run(script)
    assert node.log(job.id, stream=1) == b"\xff\xfe\x00\r\n" + b"z" * 100_000 + b"\nend"


def test_a_progress_bar_is_seen_at_once_although_no_line_ends(node: AgentNode) -> None:
    script = r"""i=0; while [ $i -lt 40 ]; do i=$((i+1)); printf '\r%s %s' $i "$(date +%s)"; sleep 0.05; done; sleep 30"""
    job_id = node.begin(script)
    last = 0
    worst = 0.0
    while last < 40:
        seen, at = node.log(job_id).split(b"\r")[-1].split(b" ")[0], now()
        if seen.isdigit() and int(seen) > last:
            worst = max(worst, 0.05 * (int(seen) - last - 1))
            last = int(seen)
        assert now() - at < 5
    # Steps that were missed between two looks: none was hidden for 200 ms.
    assert worst < 0.2
    node.cancel(job_id)
    node.final(job_id)


def test_300_000_lines_are_complete(node: AgentNode) -> None:
    job = node.run("seq 300000; echo done >&2")
    expected = b"".join(b"%d\n" % number for number in range(1, 300_001))
    got = node.log(job.id, stream=1)
    assert hashlib.sha256(got).hexdigest() == hashlib.sha256(expected).hexdigest()
    assert node.log(job.id, stream=2) == b"done\n"


def test_a_program_that_closes_its_output_and_works_on(node: AgentNode) -> None:
    job_id = node.begin("echo before; exec >&- 2>&-; sleep 1; echo lost > /outputs/after; exit 5")
    assert wait_for(lambda: node.log(job_id), 5, "its output") == b"before\n"
    job = node.final(job_id)
    assert (job.state, job.exit_code) == (JobState.FAILED, 5)
    assert node.log(job_id) == b"before\n"
    assert (node.outputs(job_id) / "after").exists()
