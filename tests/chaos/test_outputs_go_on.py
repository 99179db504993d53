"""kill -9 while outputs are on their way from one attempt to the next: the next begins with all of them, once."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.engine import BUSYBOX
from support.lab import Lab
from support.lab_fixtures import MakeLab
from support.waiting import wait_for

from labq.store import Store

#: Large enough that whoever is killed is killed in the middle.
SIZE = 100_000_000
#: The first run leaves much and fails; the next one says what it found, and leaves the sum.
WORK = f"""
if [ "$LABQ_ATTEMPT" = 1 ]; then head -c {SIZE} /dev/urandom > /outputs/model; sha256sum < /outputs/model > /outputs/sum; exit 3; fi
sha256sum < /outputs/model | cmp - /outputs/sum && ls /outputs && wc -c < /outputs/model
"""
NODES = {"n1": "sim:1xRTX-4090-24GB", "n2": "sim:1xRTX-4090-24GB"}


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("killed", "when"),
    [
        (("n1", "n2"), "queued"),  # while it is sent
        (("server",), "queued"),
        (("all",), "queued"),
        (("n1", "n2"), "starting"),  # while it is fetched
        (("server",), "starting"),
        (("redis",), "starting"),
    ],
)
def test_the_next_attempt_begins_with_the_whole(
    make_lab: MakeLab, tmp_path: Path, killed: tuple[str, ...], when: str
) -> None:
    lab = make_lab("none")
    start_nodes(lab)
    job = str(
        lab.json("submit", "--image", BUSYBOX, "--cpus", "1", "--memory", "64MB", "--gpus", "1",
                 "--retries", "1", "--", "sh", "-c", WORK)["id"]
    )  # fmt: skip
    number = 1 if when == "queued" else 2

    def there() -> bool:
        job_now = store.jobs.get(job)
        return job_now.state == when and job_now.attempt == number

    store = Store(lab.redis_url)
    wait_for(there, 60, f"attempt {number} to be {when}", interval=0.002, hint=lab.logs)
    store.connection.client.close()
    for part in killed:
        lab.kill9(part)
    if killed == ("all",):
        lab.start()
    wait_for(lab.ready, 30, "the server to be ready again", hint=lab.logs)
    start_nodes(lab)
    assert lab.labq("wait", job, "--timeout", "90s", check=False, timeout=100).returncode == 0, lab.logs()
    assert lab.labq("logs", job).stdout == f"model\nsum\n{SIZE}\n"
    shown = lab.json("show", job)
    assert [attempt["exit_code"] for attempt in shown["attempts"]] == [3, 0]
    lab.labq("fetch", job, "--to", str(tmp_path / "out"))
    assert (tmp_path / "out" / "model").stat().st_size == SIZE
    torn = [path for name in NODES for path in (lab.directory / name / "data").glob("outputs/*/*.filling")]
    assert torn == []


def start_nodes(lab: Lab) -> None:
    for name, gpus in NODES.items():
        lab.start_agent(name, gpus)
