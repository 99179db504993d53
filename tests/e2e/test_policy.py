"""The policy with real containers: two people and three unlike nodes, of which two share no files with the server."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.engine import BUSYBOX, Engine
from support.lab import Lab
from support.lab_fixtures import close_all
from support.waiting import wait_for

from labq.store import Event, Person, Store

#: Counts steps; on SIGTERM it saves where it is. Its first run never ends by itself, the next one soon does.
WORK = """
step=0; [ -e /outputs/checkpoint ] && step=$(cat /outputs/checkpoint) && echo "resumed at $step on $LABQ_NODE"
trap 'head -c 20000000 /dev/zero > /outputs/model; echo $step > /outputs/checkpoint; echo "saved $step"; exit 143' TERM
while [ "$LABQ_ATTEMPT" = 1 ] || [ $step -lt 40 ]; do step=$((step + 1)); echo "step $step"; sleep 0.05; done
echo "done at $step" | tee /outputs/result
"""
#: Nobody is spared long, so that the test need not wait.
RULES = '[preemption]\nprotect = "1s"\n'


class Town:
    """The lab, and who asks."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.store = lab, Store(lab.redis_url)
        self.tokens = {}
        for uid, name in enumerate(("ann", "bob"), 2001):
            self.store.people.put(Person(name, uid, uid))
            self.tokens[name] = self.store.people.new_token(name)

    def submit(self, who: str, *arguments: str) -> dict[str, Any]:
        said = self.lab.json(
            "submit", "--image", BUSYBOX, "--cpus", "0.1", "--memory", "32MB", *arguments,
            env={"LABQ_TOKEN": self.tokens[who]},
        )  # fmt: skip
        return dict(said)

    def job(self, who: str, *arguments: str) -> str:
        return str(self.submit(who, *arguments)["id"])

    def view(self, job_id: str) -> dict[str, Any]:
        return dict(self.lab.json("show", job_id))

    def state(self, job_id: str) -> str:
        return str(self.store.jobs.get(job_id).state)

    def wait_until(self, job_id: str, state: str, timeout: float = 30) -> None:
        wait_for(lambda: self.state(job_id) == state, timeout, f"{job_id} to be {state}", hint=self.hint)

    def log(self, job_id: str) -> str:
        return self.lab.labq("logs", job_id, check=False).stdout

    def moves(self) -> list[Event]:
        return [event for event in self.store.events.read("0-0", count=20_000) if event.type == "moved"]

    def began(self) -> list[str]:
        """The jobs that were given a node, in order."""
        return [event.fields["id"] for event in self.moves() if event.fields["to"] == "starting"]

    def at(self, job_id: str, state: str) -> float:
        """When a job first came to a state."""
        return next(
            float(e.fields["at"])
            for e in self.moves()
            if e.fields["id"] == job_id and e.fields["to"] == state
        )

    def hint(self) -> str:
        return self.lab.labq("ls", "--all", check=False).stdout + self.lab.logs()


@pytest.fixture(scope="module")
def town(engine: Engine) -> Iterator[Town]:
    """2 × 11 GB at the server, 1 × 24 GB, 4 × 80 GB."""
    engine.start()
    directory = Path(tempfile.mkdtemp(prefix="labq-lab-"))
    (directory / "rules.toml").write_text(RULES)
    settings = {"LABQ_NODE": "small", "LABQ_RULES_FILE": str(directory / "rules.toml")}
    lab = Lab(engine, directory, "sim:2xRTX-2080-Ti-11GB", settings)
    try:
        lab.start()
        lab.start_agent("middle", "sim:1xRTX-4090-24GB")
        lab.start_agent("large", "sim:4xA100-80GB")
        found = Town(lab)
        # The first job of an image waits until a node has it.
        every = [
            found.job("ann", "--gpus", "1", "--node", name, "--", "true")
            for name in ("small", "middle", "large")
        ]
        for job_id in every:
            found.wait_until(job_id, "succeeded", 60)
        yield found
        found.store.connection.client.close()
    finally:
        close_all([lab])
        shutil.rmtree(directory, ignore_errors=True)


def test_a_job_gets_the_smallest_card_that_suffices(town: Town) -> None:
    asked = {"1": "small", "11GB+": "small", "12GB+": "middle", "24GB+:2": "large", "a100": "large"}
    jobs = {
        town.job("ann", "--gpus", gpus, "--", "sh", "-c", "echo $LABQ_NODE"): node
        for gpus, node in asked.items()
    }
    for job_id, node in jobs.items():
        town.wait_until(job_id, "succeeded")
        assert town.view(job_id)["node"] == node
        assert town.log(job_id) == f"{node}\n"


def test_one_persons_thirty_tasks_let_anothers_single_job_go_first(town: Town) -> None:
    tasks = [
        row["id"] for row in town.submit("ann", "--gpus", "1", "--array", "0-29", "--", "sleep", "2")["jobs"]
    ]
    wait_for(lambda: sum(1 for job_id in town.began() if job_id in tasks) >= 7, 30, "all GPUs to be held")
    before = len(town.began())
    single = town.job("bob", "--gpus", "1", "--", "sh", "-c", "echo mine")
    town.wait_until(single, "succeeded")
    after = town.began()[before:]
    # What the loop decided while the job was being submitted does not count against it.
    assert after.index(single) <= 2, after
    waiting = [job_id for job_id in tasks if town.state(job_id) == "queued"]
    assert len(waiting) >= 10, "it did not wait for the array"
    for job_id in tasks:
        town.wait_until(job_id, "succeeded", 60)


def test_a_large_job_gets_its_turn_while_small_ones_keep_coming(town: Town) -> None:
    """Those that end in time pass it; those that would delay it do not, however many there are."""
    running = [
        town.job("ann", "--name", f"first{seconds}", "--gpus", "a100", "--time", f"{seconds}s", "--grace", "1s",
                 "--", "sleep", str(seconds - 1))
        for seconds in (4, 6, 14)
    ]  # fmt: skip
    for job_id in running:
        town.wait_until(job_id, "running")
    large = town.job(
        "bob", "--name", "large", "--gpus", "a100:4", "--time", "3s", "--grace", "1s", "--", "sleep", "1"
    )
    long: list[str] = []
    short: list[str] = []

    def keep_coming() -> bool:
        number = len(long)
        long.append(
            town.job("ann", "--name", f"long{number}", "--gpus", "a100", "--time", "30s", "--", "sleep", "1")
        )
        short.append(
            town.job("ann", "--name", f"short{number}", "--gpus", "a100", "--time", "1s", "--grace", "1s", "--", "true")
        )  # fmt: skip
        return town.state(large) in {"running", "succeeded"}

    wait_for(keep_coming, 40, "the large job to run", interval=0.7, hint=town.hint)
    town.wait_until(large, "succeeded")
    began, ended = town.at(large, "running"), town.at(running[-1], "succeeded")
    order = town.began()
    passed = order[: order.index(large)]
    assert [job_id for job_id in passed if job_id in long] == [], "nobody passed who would have delayed it"
    assert [job_id for job_id in passed if job_id in short] != [], "what ends in time uses the GPUs meanwhile"
    assert len(long) >= 5
    assert began - ended < 3, "it ran as soon as the last GPU was free"
    for job_id in (*long, *short):
        town.wait_until(job_id, "succeeded", 60)


def test_a_preempted_job_goes_on_with_its_checkpoint_on_another_node(town: Town) -> None:
    low = town.job("ann", "--gpus", "24GB+", "--preemptible", "--priority", "low", "--", "sh", "-c", WORK)
    wait_for(lambda: "step 3" in town.log(low), 30, "it to work", hint=town.hint)
    assert town.view(low)["node"] == "middle", "the smallest that suffices"
    high = town.job("bob", "--gpus", "4090:1", "--priority", "high", "--", "sh", "-c", "echo mine; sleep 2")
    town.wait_until(high, "succeeded")
    town.wait_until(low, "succeeded", 40)
    shown, log = town.view(low), town.log(low)
    first = shown["attempts"][0]
    assert (first["end_reason"], first["node"], len(shown["attempts"])) == ("preempted", "middle", 2)
    assert f"for job {high}" in first["verdict"]
    assert shown["node"] == "large", "it need not wait for the card that it had"
    out = town.lab.directory / "out"
    town.lab.labq("fetch", low, "--to", str(out), env={"LABQ_TOKEN": town.tokens["ann"]})
    saved = int((out / "checkpoint").read_text())
    assert saved >= 3
    assert f"resumed at {saved} on large" in log
    assert (out / "result").read_text().startswith("done at ")
    assert (out / "model").stat().st_size == 20_000_000
    again = town.lab.labq(
        "fetch", low, "--attempt", "1", "--to", str(out / "1"), env={"LABQ_TOKEN": town.tokens["ann"]}
    )
    assert again.returncode == 0
    assert sorted(path.name for path in (out / "1").iterdir()) == ["checkpoint", "model"]
    told = [
        json.loads(e.fields["set"])
        for e in town.moves()
        if e.fields["id"] == low and e.fields["to"] == "queued"
    ]
    assert [row.get("outputs_due") for row in told] == ["1"], (
        "it was not to start before its outputs were there"
    )
