"""What one is told: shown, changed, tested; dead letters are an admin's. By the API and by `labq notify`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from integration.scheduler_api.server_process import Server

from labq.clock import now
from labq.notify import DEFAULT_EVENTS
from labq.store import NewNotice
from labq_scheduler.notify.news import News


def labq(server: Server, client: httpx.Client, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line as that person."""
    token = client.headers["authorization"].removeprefix("Bearer ")
    env = {"LABQ_SERVER": server.url, "LABQ_TOKEN": token, "LABQ_CONFIG": "/dev/null", "NO_COLOR": "1", "PATH": "/usr/bin:/bin"}  # fmt: skip
    program = Path(sys.executable).parent / "labq"
    return subprocess.run(
        [str(program), "notify", *arguments],
        env=env, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def kill_a_letter(server: Server, user: str) -> str:
    """Makes a dead letter as the notifier does."""
    notices, notice_id = server.store.notices, f"event-{now()}"
    item = News(kind="failed", events=("failed",), owner=user, at=now(), job="7").to_json()
    notices.make([NewNotice(notice_id, user, "failed", item)], now=now())
    notice = notices.get(notice_id)
    assert notice is not None
    assert notices.take(user, "test")
    assert notices.settle(
        notice, "test", "dead", now=now(), again=0.0, error="chat.postMessage: is_archived", tries=3
    )
    return notice_id


def test_what_holds_is_shown_and_changed(server: Server, alice: httpx.Client, bob: httpx.Client) -> None:
    first = alice.get("/v1/me/notify").json()
    assert (first["events"], first["channel"], first["digest"]) == (list(DEFAULT_EVENTS), "slack", True)
    changed = alice.put(
        "/v1/me/notify", json={"events": ["failed"], "channel": "mail:a@b.c", "longer_than": "5m"}
    )
    assert changed.status_code == 200
    assert changed.json() == alice.get("/v1/me/notify").json()
    assert (changed.json()["channel"], changed.json()["longer_than"]) == ("mail:a@b.c", 300.0)
    assert bob.get("/v1/me/notify").json()["channel"] == "slack"
    refused = alice.put("/v1/me/notify", json={"events": ["faild"]})
    assert (refused.status_code, refused.json()["error"]["what"]) == (422, "event 'faild' is not known")


def test_a_test_says_why_it_would_not_arrive(server: Server, alice: httpx.Client) -> None:
    user, notices = alice.headers["x-test-name"], server.store.notices
    server.store.connection.client.delete("labq:notices:alive")
    reasons = [alice.post("/v1/me/notify/test").json()["error"]["what"]]
    notices.beat("t", ["slack", "webhook"])
    reasons.append(alice.post("/v1/me/notify/test").json()["error"]["what"])
    alice.put("/v1/me/notify", json={"channel": "mail:a@b.c"})
    reasons.append(alice.post("/v1/me/notify/test").json()["error"]["what"])
    alice.put("/v1/me/notify", json={"channel": "none"})
    reasons.append(alice.post("/v1/me/notify/test").json()["error"]["what"])
    assert [reason.removeprefix("no notice can be sent: ")[:38] for reason in reasons] == [
        "no labq-notifier runs in this lab; an ", "nobody knows who you are in Slack; an ",
        "this lab sends nothing by mail; its ch", "your channel is none",
    ]  # fmt: skip
    alice.put("/v1/me/notify", json={"channel": "webhook:https://example.org/x"})
    answer = alice.post("/v1/me/notify/test").json()
    assert answer["channel"] == "webhook:https://example.org/x"
    assert notices.lane(user) == [answer["id"]]
    shown = alice.get("/v1/me/notify").json()
    assert (shown["waiting"], shown["problem"]) == (1, None)


def test_dead_letters_are_an_admins_and_are_sent_again(
    server: Server, alice: httpx.Client, admin: httpx.Client
) -> None:
    user = alice.headers["x-test-name"]
    notice_id = kill_a_letter(server, user)
    assert alice.get("/v1/notify/dead").status_code == 403
    assert alice.post(f"/v1/notify/dead/{notice_id}/retry").status_code == 403
    (found,) = [one for one in admin.get("/v1/notify/dead").json() if one["id"] == notice_id]
    assert (found["user"], found["job"], found["tries"]) == (user, "7", 3)
    assert found["error"] == "chat.postMessage: is_archived"
    assert admin.post(f"/v1/notify/dead/{notice_id}/retry").status_code == 200
    assert server.store.notices.lane(user) == [notice_id]
    again = admin.post(f"/v1/notify/dead/{notice_id}/retry")
    assert (again.status_code, again.json()["error"]["next"]) == (404, "labq notify dead lists them")


def test_the_command_line_shows_changes_and_sends(
    server: Server, alice: httpx.Client, admin: httpx.Client
) -> None:
    done = labq(server, alice, "set", "--events", "failed,idle", "--quiet", "22:00-08:00", "--zone", "Asia/Tokyo", "--digest", "off")  # fmt: skip
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0)
    shown = labq(server, alice).stdout
    assert "events       failed, idle" in shown
    assert "quiet hours  22:00-08:00 Asia/Tokyo" in shown
    assert "digest       off" in shown
    notice_id = kill_a_letter(server, alice.headers["x-test-name"])
    listed = labq(server, admin, "dead").stdout
    assert notice_id in listed
    assert "is_archived" in listed
    assert "is sent again to" in labq(server, admin, "retry", notice_id).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sett"], "did you mean set?"),
        (["set"], "nothing is to be changed"),
        (["set", "--events", "faild"], "did you mean failed?"),
        (["--events", "failed"], "labq notify set --events"),
        (["test", "--quiet", "off"], "labq notify set --quiet"),
        (["retry"], "needs the id of a dead letter"),
        (["set", "7", "--quiet", "off"], "takes no id"),
        (["dead"], "is no admin"),
    ],
)
def test_a_slip_on_the_command_line_is_told_in_two_lines(
    server: Server, alice: httpx.Client, arguments: list[str], said: str
) -> None:
    done = labq(server, alice, *arguments)
    assert done.returncode in {2, 3}
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 2
