"""`/labq …` and buttons over a real WebSocket: answered at once, once, and only to those who may."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from integration.notify.conftest import MakeNotifier, Notifier, People
from support.slack import APP, SlackServer
from support.waiting import wait_for

from labq.states import JobState
from labq.store import Store


@pytest.fixture
def notifier(make_notifier: MakeNotifier, lab_people: People, tmp_path: Path) -> Notifier:
    """With Socket Mode; ann and root are known, root is an admin, and so is bob, who is no admin."""
    lab_people.add("ann")
    lab_people.add("bob")
    lab_people.add("root", admin=True)
    token = tmp_path / "app-token"
    token.write_text(APP)
    return make_notifier(LABQ_SLACK_APP_TOKEN_FILE=str(token))


class Someone:
    """Types and clicks in Slack."""

    def __init__(self, slack: SlackServer) -> None:
        self.slack = slack
        self.count = 0

    def types(self, text: str, slack_id: str = "UANN000", envelope: str = "") -> str:
        """Types `/labq …` and returns the answer."""
        return self.asks("slash_commands", {"command": "/labq", "text": text, "user_id": slack_id}, envelope)

    def clicks(self, action: str, job: str, slack_id: str = "UANN000") -> str:
        """Presses a button and returns the answer."""
        actions = [{"action_id": action, "value": job}]
        return self.asks(
            "interactive", {"type": "block_actions", "user": {"id": slack_id}, "actions": actions}
        )

    def asks(self, kind: str, payload: dict[str, Any], envelope: str = "") -> str:
        self.count += 1
        path = f"/answer/{self.count}"
        sent = time.monotonic()
        payload["response_url"] = self.slack.url.replace("/api/", path)
        envelope = envelope or f"envelope-{self.count}"
        self.slack.socket.send(kind, envelope, payload)
        wait_for(lambda: envelope in self.slack.socket.acks, 10, "the acknowledgement")
        assert self.slack.socket.acks[envelope] - sent < 3
        wait_for(lambda: any(a["path"] == path for a in self.slack.answers), 10, "the answer")
        (answer,) = [a for a in self.slack.answers if a["path"] == path]
        assert answer["response_type"] == "ephemeral"
        return str(answer["text"])


def test_status_my_why_and_help_are_answered(
    notifier: Notifier, lab_people: People, slack: SlackServer
) -> None:
    someone = Someone(slack)
    (waits,) = lab_people.submit("ann", name="waits", gpus="1")
    (runs,) = lab_people.submit("ann", name="runs")
    lab_people.start(runs)
    assert "/labq cancel JOB" in someone.types("help")
    assert "/labq cancel JOB" in someone.types("")
    status = someone.types("status")
    assert "n1: 399 of 400 GPUs free" in status
    assert "1 job on machines, 1 waiting" in status
    mine = someone.types("my")
    assert f"{waits} waits  queued" in mine
    assert re.search(rf"^{runs} runs  running for \d+s on n1$", mine, re.M)
    assert someone.types("my", "UBOB000") == "You have no job that waits or runs."
    assert someone.types(f"why {runs}", "UBOB000") == f"{runs} running: it runs on n1"
    assert "there is no job 99" in someone.types("why 99")
    assert "did you mean cancel?" in someone.types("cancle 1")
    assert "takes one job" in someone.types("cancel")
    assert "&lt;!channel&gt;" in someone.types("why <!channel>")


def test_only_the_owner_or_an_admin_may_cancel(
    notifier: Notifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    someone = Someone(slack)
    one, two, three = (lab_people.submit("ann")[0] for _ in range(3))
    assert "bob may not cancel it" in someone.types(f"cancel {one}", "UBOB000")
    assert "bob may not cancel it" in someone.clicks("labq_cancel", one, "UBOB000")
    for stranger in ("USTRANGER", ""):
        assert "belongs to nobody in this lab" in someone.types(f"cancel {one}", stranger)
        assert "belongs to nobody in this lab" in someone.clicks("labq_cancel", one, stranger)
    assert store.jobs.get(one).state is JobState.QUEUED
    assert someone.types(f"cancel {one}") == f"Job {one} is cancelled."
    assert someone.types(f"cancel {two}", "UROOT000") == f"Job {two} is cancelled."
    assert someone.clicks("labq_cancel", three) == f"Job {three} is cancelled."
    assert store.jobs.get(two).end_reason == "cancelled_by_admin"
    assert "already" in someone.types(f"cancel {one}")


def test_two_people_with_one_slack_id_are_nobody(
    notifier: Notifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    (job,) = lab_people.submit("ann")
    lab_people.add("mallory", slack_id="UANN000")
    assert "belongs to nobody" in Someone(slack).types(f"cancel {job}")
    assert store.jobs.get(job).state is JobState.QUEUED


def test_keep_stops_the_idle_warnings_of_ones_own_job(
    notifier: Notifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    someone = Someone(slack)
    (job,) = lab_people.submit("ann")
    lab_people.start(job)
    assert "bob may not keep it" in someone.clicks("labq_keep", job, "UBOB000")
    assert store.idle.kept([job]) == set()
    assert someone.clicks("labq_keep", job) == f"Job {job} is left alone for 4h00m."
    assert store.idle.kept([job]) == {job}


def test_a_request_that_slack_repeats_is_done_once(
    notifier: Notifier, lab_people: People, slack: SlackServer
) -> None:
    someone = Someone(slack)
    someone.types("help", envelope="same")
    slack.socket.send("slash_commands", "same", {"text": "help", "user_id": "UANN000"})
    someone.types("help", envelope="other")
    assert len(slack.answers) == 2


def test_a_cut_connection_is_made_again(notifier: Notifier, lab_people: People, slack: SlackServer) -> None:
    someone = Someone(slack)
    someone.types("help")
    slack.socket.drop()
    wait_for(lambda: slack.socket.connections >= 2, 60, "the second connection", hint=notifier.tail)
    someone.types("help")


def test_an_answer_goes_nowhere_but_to_slack(
    notifier: Notifier, lab_people: People, slack: SlackServer
) -> None:
    payload = {"text": "help", "user_id": "UANN000", "response_url": "http://127.0.0.1:9/evil"}
    slack.socket.send("slash_commands", "evil", payload)
    wait_for(lambda: "has no address for its answer" in notifier.log.read_text(), 10, "the warning")
    assert slack.answers == []


def test_buttons_are_offered_only_where_somebody_listens(
    notifier: Notifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    from labq.clock import now

    (job_id,) = lab_people.submit("ann")
    job = lab_people.start(job_id)
    store.idle.tell(job, 1, idle=60, ends_at=None, now=now())
    wait_for(lambda: slack.posts, 20, "the warning")
    (post,) = slack.posts
    actions = post.body["blocks"][-1]["elements"]
    assert [(one["action_id"], one["value"]) for one in actions] == [
        ("labq_cancel", job_id),
        ("labq_keep", job_id),
    ]
    assert (
        Someone(slack)
        .clicks(actions[1]["action_id"], actions[1]["value"])
        .startswith(f"Job {job_id} is left")
    )
