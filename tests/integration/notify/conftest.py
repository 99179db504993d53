"""A notifier as a process, a Slack that records, and somebody who moves jobs as the server and an agent would."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import GB, make_job, make_node
from support.daemon import Daemon
from support.redis import RedisServer
from support.slack import BOT, SlackServer
from support.waiting import wait_for

from labq import moves, notify
from labq.clock import now
from labq.ending import EndReason, Judgement
from labq.job import GpuHold, Job
from labq.logfile import STDOUT, LogWriter
from labq.moves import Claim
from labq.notify import Preferences
from labq.store import Person, Store, keys

NODE = make_node("n1", gpus=400, cpus=4000, memory=4000 * GB)


class People:
    """Who moves jobs: the store, and a count of GPUs that were given."""

    def __init__(self, store: Store, data: Path) -> None:
        self.store, self.data = store, data
        self._gpu = 0
        store.nodes.register(NODE, now=now())

    def add(self, name: str, *, slack_id: str = "", admin: bool = False, **wanted: Any) -> str:
        """Adds a person and what they want to be told; returns their Slack id."""
        slack_id = slack_id or f"U{name.upper()}000"
        self.store.people.put(Person(name, 1000, 1000, admin=admin, slack_id=slack_id))
        self.store.notices.put_preferences(
            name, notify.preferences({"longer_than": 0, **wanted}, Preferences())
        )
        return slack_id

    def submit(self, owner: str = "ann", indices: list[int] | None = None, **wire: Any) -> tuple[str, ...]:
        """Makes jobs."""
        from dataclasses import replace

        first = replace(make_job("1", **wire), owner=owner, submitted_at=now() - 30)
        return self.store.jobs.submit(first, indices=indices, now=now()).jobs

    def start(self, job_id: str, ago: float = 20.0) -> Job:
        """Lets it run since so many seconds."""
        job = self.store.jobs.get(job_id)
        self._gpu = (self._gpu + 1) % len(NODE.gpus)
        claim = Claim(
            f"lease-{job_id}-{job.attempt}", NODE, (GpuHold(NODE.gpus[self._gpu].uuid),), 1.0, 4 * GB
        )
        new = moves.starting(job, claim)
        self.store.jobs.move(job, new, now=now(), by="scheduler", claim=claim)
        running = moves.running(new, now() - ago, "sha256:abc")
        self.store.jobs.move(new, running, now=now(), by="agent n1")
        return running

    def end(self, job_id: str, reason: EndReason, verdict: str, code: int | None = 1) -> Job:
        """Ends an attempt, or a job that waits."""
        job = self.store.jobs.get(job_id)
        new = moves.ended(job, Judgement(reason, verdict), code, now())
        self.store.jobs.move(job, new, now=now(), by="agent n1")
        return new

    def run(self, owner: str = "ann", *, fails: str = "", **wire: Any) -> str:
        """Makes a job, runs and ends it; returns its id."""
        (job_id,) = self.submit(owner, **wire)
        self.start(job_id)
        if fails:
            self.end(job_id, EndReason.EXIT_CODE, f"Failed: exit code 1 after 20s, last line: {fails}.")
        else:
            self.end(job_id, EndReason.COMPLETED, "Succeeded after 20s, peak memory 1.5GB.", 0)
        return job_id

    def log(self, job_id: str, text: bytes) -> None:
        """Writes the log of the first attempt."""
        writer = LogWriter(self.data / "logs" / job_id / "1.labqlog")
        writer.write(STDOUT, 1_700_000_000 * 10**9, text)
        writer.close()


class Notifier(Daemon):
    """``labq-notifier``."""

    def __init__(self, name: str, directory: Path, env: dict[str, str]) -> None:
        super().__init__(name, directory)
        self.env = env

    def up(self, **more: str) -> Notifier:
        """Starts it."""
        self.start([sys.executable, "-m", "labq_scheduler.notify"], self.env | more)
        return self

    def down(self) -> int | None:
        """Ends it in order."""
        return self.end(signal.SIGTERM, 20)

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self.end(signal.SIGKILL)


MakeNotifier = Callable[..., Notifier]


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[Store]:
    found = Store(redis_server.url)
    yield found
    found.connection.client.close()


@pytest.fixture
def lab_people(store: Store, tmp_path: Path) -> People:
    """Who moves the jobs; the cursor is set, so that what comes from now on is news."""
    store.events.set_cursor("notices", "0-1")
    return People(store, tmp_path / "data")


@pytest.fixture
def make_notifier(redis_server: RedisServer, slack: SlackServer, tmp_path: Path) -> Iterator[MakeNotifier]:
    """Starts notifiers; each ends with the test."""
    made: list[Notifier] = []
    token = tmp_path / "bot-token"
    token.write_text(BOT + "\n")

    def make(**env: str) -> Notifier:
        settings = {
            "PATH": os.environ["PATH"],
            "LABQ_CONFIG": "/dev/null",
            "PYTHONWARNINGS": "error",
            "LABQ_REDIS_URL": redis_server.url,
            "LABQ_DATA_DIR": str(tmp_path / "data"),
            "LABQ_SLACK_BOT_TOKEN_FILE": str(token),
            "LABQ_SLACK_API_URL": slack.url,
            "LABQ_LOG_LEVEL": "debug",
            **env,
        }
        if "PYTHONPATH" in os.environ:  # the code of another checkout than the one that is installed
            settings["PYTHONPATH"] = os.environ["PYTHONPATH"]
        made.append(Notifier(f"notifier{len(made)}", tmp_path, settings))
        return made[-1].up()

    yield make
    slack.released.set()
    for notifier in made:
        notifier.kill()
        text = notifier.log.read_text(errors="replace")
        assert "secret-of" not in text, "a secret is in the log"


def let_time_pass(store: Store) -> int:
    """Makes everything that is held due, as if its time had come; returns how many notices that are."""
    held = store.connection.client.zrange(keys.NOTICE_HELD, 0, -1)
    for notice in held:
        store.connection.client.zadd(keys.NOTICE_HELD, {notice: 0}, xx=True)
    return len(held)


def settled(store: Store, *, timeout: float = 30) -> None:
    """Waits until every event is read and every notice sent."""

    def done() -> bool:
        return store.events.cursor("notices") == store.events.last_id() and store.notices.waiting()[0] == 0

    wait_for(done, timeout, "all notices to be sent", hint=lambda: str(store.notices.waiting()))
