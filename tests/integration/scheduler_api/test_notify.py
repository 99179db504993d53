"""What one is told: shown, changed, tested; dead letters, sent again or forgotten. By the API and by `labq notify`."""

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


def labq(
    server: Server, client: httpx.Client, *arguments: str, zone: str = "UTC"
) -> subprocess.CompletedProcess[str]:
    """Runs the command line as that person, on a machine of that time zone."""
    token = client.headers["authorization"].removeprefix("Bearer ")
    env = {"LABQ_SERVER": server.url, "LABQ_TOKEN": token, "LABQ_CONFIG": "/dev/null", "NO_COLOR": "1", "PATH": "/usr/bin:/bin", "TZ": zone}  # fmt: skip
    program = Path(sys.executable).parent / "labq"
    return subprocess.run(
        [str(program), "notify", *arguments],
        env=env, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def kill_a_letter(server: Server, user: str, item: str = "") -> str:
    """Makes a dead letter as the notifier does."""
    notices, notice_id = server.store.notices, f"event-{now()}"
    item = item or News(kind="failed", events=("failed",), owner=user, at=now(), job="7").to_json()
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
        "/v1/me/notify", json={"events": ["failed"], "channel": "mail:a@localhost", "longer_than": "5m"}
    )
    assert changed.status_code == 200
    assert changed.json() == alice.get("/v1/me/notify").json()
    assert (changed.json()["channel"], changed.json()["longer_than"]) == ("mail:a@localhost", 300.0)
    assert bob.get("/v1/me/notify").json()["channel"] == "slack"
    refused = alice.put("/v1/me/notify", json={"events": ["faild"]})
    assert (refused.status_code, refused.json()["error"]["what"]) == (422, "event 'faild' is not known")


def test_a_test_says_why_it_would_not_arrive(server: Server, alice: httpx.Client) -> None:
    user, notices = alice.headers["x-test-name"], server.store.notices
    server.store.connection.client.delete("labq:notices:alive")
    reasons = [alice.post("/v1/me/notify/test").json()["error"]["what"]]
    notices.beat("t", ["slack", "webhook"])
    reasons.append(alice.post("/v1/me/notify/test").json()["error"]["what"])
    alice.put("/v1/me/notify", json={"channel": "mail:a@localhost"})
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


def test_dead_letters_are_their_owners_and_an_admins(
    server: Server, alice: httpx.Client, bob: httpx.Client, admin: httpx.Client
) -> None:
    user = alice.headers["x-test-name"]
    notice_id = kill_a_letter(server, user)
    (found,) = [one for one in admin.get("/v1/notify/dead").json() if one["id"] == notice_id]
    assert (found["user"], found["job"], found["tries"]) == (user, "7", 3)
    assert found["error"] == "chat.postMessage: is_archived"
    assert alice.get("/v1/notify/dead").json() == [found]
    assert bob.get("/v1/notify/dead").json() == []
    for answer in (
        bob.post(f"/v1/notify/dead/{notice_id}/retry"),
        bob.delete(f"/v1/notify/dead/{notice_id}"),
        alice.delete("/v1/notify/dead/no-such"),
    ):
        assert (answer.status_code, answer.json()["error"]["next"]) == (404, "labq notify dead lists them")
    assert bob.delete("/v1/notify/dead").json() == {"forgotten": 0}
    assert admin.post(f"/v1/notify/dead/{notice_id}/retry").status_code == 200
    assert server.store.notices.lane(user) == [notice_id]
    assert admin.post(f"/v1/notify/dead/{notice_id}/retry").status_code == 404
    assert alice.delete(f"/v1/notify/dead/{notice_id}").status_code == 404  # it is on its way


def test_dead_letters_are_forgotten_one_or_all(
    server: Server, alice: httpx.Client, bob: httpx.Client, admin: httpx.Client
) -> None:
    mine, others = [
        [kill_a_letter(server, who.headers["x-test-name"]) for _ in range(3)] for who in (alice, bob)
    ]
    assert alice.delete(f"/v1/notify/dead/{mine[0]}").json()["id"] == mine[0]
    assert alice.delete("/v1/notify/dead").json() == {"forgotten": 2}
    assert {one["id"] for one in admin.get("/v1/notify/dead").json()} >= set(others)
    assert admin.delete("/v1/notify/dead").json()["forgotten"] >= 3
    assert admin.get("/v1/notify/dead").json() == []


@pytest.mark.parametrize("item", ["{", "[]", '{"kind": "failed"}', '{"job": {"a": 1}}'])
def test_a_letter_that_cannot_be_read_is_listed_and_forgotten_all_the_same(
    server: Server, alice: httpx.Client, item: str
) -> None:
    broken, whole = (kill_a_letter(server, alice.headers["x-test-name"], text) for text in (item, ""))
    assert {one["id"]: one["job"] for one in alice.get("/v1/notify/dead").json()} == {broken: "", whole: "7"}
    assert alice.delete(f"/v1/notify/dead/{broken}").json()["id"] == broken
    assert alice.delete("/v1/notify/dead").json() == {"forgotten": 1}


def test_what_the_lab_does_not_allow_is_refused_with_what_is_legal(alice: httpx.Client) -> None:
    for channel, said in (
        ("slack:#typo", "legal: slack; an admin can change LABQ_NOTIFY_SLACK_CHANNELS"),
        ("mail:a@elsewhere.example", "legal: addresses of localhost; an admin can change LABQ_NOTIFY_MAIL_DOMAINS"),
        ("webhook:http://h.example:6379/", "legal ports: 80, 443, 8443; an admin can change LABQ_NOTIFY_WEBHOOK_PORTS"),
    ):  # fmt: skip
        refused = alice.put("/v1/me/notify", json={"channel": channel})
        assert (refused.status_code, refused.json()["error"]["next"]) == (422, said)


def test_one_test_waits_at_a_time_and_what_became_of_it_is_shown(server: Server, alice: httpx.Client) -> None:
    user, notices = alice.headers["x-test-name"], server.store.notices
    notices.beat("t", ["slack", "webhook"])
    alice.put("/v1/me/notify", json={"channel": "webhook:https://example.org/tested"})
    first = alice.post("/v1/me/notify/test").json()["id"]
    again = alice.post("/v1/me/notify/test")
    assert (again.status_code, "a test is on its way since" in again.text) == (409, True)
    assert notices.take(user, "test")
    notice = notices.get(first)
    assert notice is not None
    assert notices.settle(notice, "test", "dead", now=now(), again=0.0, error="example.org answered 404")
    assert alice.get("/v1/me/notify").json()["problem"] == "example.org answered 404"
    assert alice.get("/v1/notify/dead").json() == []
    alice.put("/v1/me/notify", json={"channel": "webhook:https://example.org/y"})
    assert alice.get("/v1/me/notify").json()["problem"] is None
    assert alice.post("/v1/me/notify/test").status_code == 200


def test_nobody_floods_an_address_with_tests_however_they_change_their_channel(
    server: Server, alice: httpx.Client, bob: httpx.Client
) -> None:
    notices = server.store.notices
    notices.beat("t", ["slack", "mail", "webhook"])

    def test(client: httpx.Client, channel: str) -> int:
        user = client.headers["x-test-name"]
        client.put("/v1/me/notify", json={"channel": channel})
        answer = client.post("/v1/me/notify/test")
        if answer.status_code == 200 and notices.take(user, "t"):
            notice = notices.head(user)
            assert notice is not None
            assert notices.settle(notice, "t", "sent", now=now(), again=0.0)
        return answer.status_code

    victim = "mail:carol@localhost"
    assert [test(alice, victim), test(alice, victim), test(alice, "mail:dave@localhost")] == [200, 409, 200]
    assert [test(alice, victim), test(bob, victim)] == [409, 409]
    answer = alice.put("/v1/me/notify", json={"channel": victim}) and alice.post("/v1/me/notify/test")
    assert "a test was sent to mail:carol@localhost a moment ago" in answer.text


def test_the_next_person_of_a_name_gets_nothing_of_the_one_before(
    server: Server, admin: httpx.Client
) -> None:
    admin.put("/v1/users/leaver", json={"uid": 1234, "gid": 1234, "slack_id": "U0LEAVER"})
    token = admin.post("/v1/users/leaver/tokens").json()["token"]
    told = {"channel": "webhook:https://example.org/x"}
    as_them = {"authorization": f"Bearer {token}"}
    assert admin.put("/v1/me/notify", json=told, headers=as_them).status_code == 200
    notice_id = kill_a_letter(server, "leaver")
    assert admin.delete("/v1/users/leaver").status_code == 200
    person = admin.put("/v1/users/leaver", json={"uid": 1235, "gid": 1235}).json()
    assert not person["slack_id"]
    assert str(server.store.notices.preferences("leaver").channel) == "slack"
    assert server.store.notices.get(notice_id) is None


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
    one = kill_a_letter(server, alice.headers["x-test-name"])
    assert labq(server, alice, "forget", one).stdout == f"{one} is forgotten\n"
    kill_a_letter(server, alice.headers["x-test-name"])
    assert labq(server, alice, "forget", "--all").stdout == "2 dead letters are forgotten\n"
    assert labq(server, alice, "dead").stdout == ""
    again = kill_a_letter(server, alice.headers["x-test-name"])
    assert "is sent again to" in labq(server, admin, "retry", again).stdout


def test_quiet_hours_without_a_zone_are_those_of_the_clock_on_the_wall(
    server: Server, bob: httpx.Client
) -> None:
    def quiet(*more: str, zone: str) -> str:
        labq(server, bob, "set", "--quiet", "22:00-08:00", *more, zone=zone)
        return str(bob.get("/v1/me/notify").json()["zone"])

    assert quiet(zone="UTC") == "UTC"
    assert quiet(zone="Asia/Tokyo") == "Asia/Tokyo"
    assert (
        quiet(zone="Europe/Berlin") == "Asia/Tokyo"
    )  # said before: a login to another machine changes nothing
    assert quiet("--zone", "Europe/Berlin", zone="Asia/Tokyo") == "Europe/Berlin"


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
        (["forget"], "needs the id of a dead letter"),
        (["forget", "7", "--all"], "--all stands alone"),
        (["dead", "--all"], "labq notify forget --all"),
        (["forget", "7"], "there is no dead letter '7'"),
        (["set", "--channel", "slack:#typo"], "this lab sends no notices to 'slack:#typo'"),
    ],
)
def test_a_slip_on_the_command_line_is_told_in_two_lines(
    server: Server, alice: httpx.Client, arguments: list[str], said: str
) -> None:
    done = labq(server, alice, *arguments)
    assert done.returncode in {1, 2}
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 2
