"""What one person, one server or one limit of Slack may cost the others, and how long a lane and a dead letter may grow."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from integration.notify.conftest import MakeNotifier, People, settled
from support.lab import free_port
from support.slack import Behaviour, SlackServer
from support.waiting import wait_for

from labq.clock import monotonic, now
from labq.store import NewNotice, Notice, Store, keys
from labq.store.notices import KEEP, MOST_ITEMS, MOST_WAITING
from labq_scheduler.notify.allowed import Allowed
from labq_scheduler.notify.channels import Letter, NotSentError
from labq_scheduler.notify.message import Message
from labq_scheduler.notify.news import News
from labq_scheduler.notify.webhook import Webhook


class Dripper:
    """A server that takes what it is sent and answers a byte at a time, for ever."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.over, self.hanging = threading.Event(), threading.Semaphore(0)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._drip, args=(connection,), daemon=True).start()

    def _drip(self, connection: socket.socket) -> None:
        self.hanging.release()
        with connection:
            try:
                connection.sendall(b"HTTP/")
                while not self.over.wait(0.1):
                    connection.sendall(b"x")
            except OSError:
                return

    def close(self) -> None:
        self.over.set()
        self._listener.close()


@pytest.fixture
def dripper() -> Iterator[Dripper]:
    found = Dripper()
    yield found
    found.close()


def make(store: Store, lane: str, notice_id: str, at: float, kind: str = "failed") -> None:
    item = News(kind=kind, events=(), owner=lane, at=at, job=notice_id, name="j").to_json()
    assert store.notices.make([NewNotice(notice_id, lane, kind, item)], now=at) == 1


def got(store: Store, notice_id: str) -> Notice:
    found = store.notices.get(notice_id)
    assert found is not None
    return found


def die(store: Store, lane: str, notice_id: str, at: float, kind: str = "failed") -> None:
    """Makes a dead letter as the notifier does."""
    make(store, lane, notice_id, at, kind)
    assert store.notices.take(lane, "t")
    assert store.notices.settle(got(store, notice_id), "t", "dead", now=at, again=at, error="is_archived")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_drips_its_answer_is_cut_off(dripper: Dripper, scheme: str) -> None:
    allowed = Allowed(webhook_ports=(dripper.port,), webhook_private=True)
    notice = Notice("n", "ann", "test", "made", 0.0, 0.0, (), 1)
    letter = Letter(notice, (), Message("x"), "", f"{scheme}://127.0.0.1:{dripper.port}/")
    began = monotonic()
    with pytest.raises(NotSentError) as error:
        Webhook(allowed, deadline=0.5).send(letter, letter.target)
    assert monotonic() - began < 4
    if scheme == "http":  # what drips is no TLS, and that is seen before the time is over
        assert str(error.value) == "127.0.0.1 did not answer within 0.5 s"
    assert error.value.unsure


def test_webhooks_that_hang_keep_neither_slack_nor_the_end_of_the_notifier(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store, dripper: Dripper
) -> None:
    url = f"webhook:http://127.0.0.1:{dripper.port}/"
    for at in range(6):
        lab_people.add(f"bad{at}", channel=url)
    ann = lab_people.add("ann")
    notifier = make_notifier(LABQ_NOTIFY_WEBHOOK_PRIVATE="1", LABQ_NOTIFY_WEBHOOK_PORTS=str(dripper.port))
    for at in range(6):
        lab_people.run(f"bad{at}")
    for _ in range(4):
        assert dripper.hanging.acquire(timeout=20)
    lab_people.run("ann")
    wait_for(lambda: slack.to(ann), 5, "the message of somebody else", hint=notifier.tail)
    began = monotonic()
    assert notifier.down() == 0
    assert monotonic() - began < 6


def test_a_webhook_does_not_reach_a_machine_of_the_lab_by_its_public_address() -> None:
    hook = Webhook(Allowed(own_hosts=("8.8.8.8",)), lambda: ["8.8.4.4", "no-such-host.invalid"])
    for host in ("8.8.8.8", "8.8.4.4", "[::ffff:8.8.4.4]"):
        with pytest.raises(NotSentError, match="is a machine of this lab") as error:
            hook._address(host.strip("[]"), 443)
        assert error.value.final
    assert hook._address("9.9.9.9", 443) == ("9.9.9.9", 443)


def test_a_limit_of_one_conversation_keeps_nobody_else_and_a_second_one_keeps_all(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    ann, bob = lab_people.add("ann", digest="off"), lab_people.add("bob", digest="off")
    limit = Behaviour(status=429, headers={"Retry-After": "30"}, error="ratelimited")
    slack.next("chat.postMessage", limit)
    make_notifier()
    lab_people.run("ann")
    wait_for(lambda: store.notices.paused(f"slack D{ann}") > 20, 20, "ann's conversation to rest")
    lab_people.run("bob")
    wait_for(lambda: slack.to(bob), 10, "bob's message")
    slack.next("chat.postMessage", limit)
    lab_people.run("bob")
    wait_for(lambda: store.notices.paused("slack") > 20, 20, "all of Slack to rest")
    assert slack.to(ann) == []


def test_one_conversation_gets_about_a_message_a_second(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    lab_people.add("ann", digest="off", channel="slack:#general")
    lab_people.add("bob", digest="off", channel="slack:#general")
    make_notifier(LABQ_NOTIFY_SLACK_CHANNELS="*")
    for _ in range(2):
        lab_people.run("ann")
        lab_people.run("bob")
    settled(store)
    times = [post.at for post in slack.posts]
    assert len(times) == 4
    assert all(after - before > 0.9 for before, after in pairwise(times))


def test_what_waits_behind_something_is_given_up_by_its_own_age(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    lab_people.add("ann")
    for at in range(3):
        make(store, "ann", f"old{at}", now() - 100)
    slack.next("conversations.open", *(Behaviour(status=503) for _ in range(3)))
    make_notifier(LABQ_NOTIFY_GIVE_UP="60s")
    settled(store)
    assert {notice.id for notice in store.notices.dead()} == {"old0", "old1", "old2"}
    assert slack.called("conversations.open") == 3


def test_who_leaves_a_webhook_that_does_not_answer_is_told_where_they_are_now(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    port = str(free_port())
    ann = lab_people.add("ann", channel=f"webhook:http://127.0.0.1:{port}/")
    make_notifier(LABQ_NOTIFY_WEBHOOK_PRIVATE="1", LABQ_NOTIFY_WEBHOOK_PORTS=port)
    job = lab_people.run("ann")
    wait_for(lambda: (head := store.notices.head("ann")) and head.tries, 20, "the first try")
    lab_people.add("ann", channel="slack")
    settled(store)
    assert [job in post.text for post in slack.to(ann)] == [True]


def test_what_is_sent_again_has_all_its_time_again(store: Store) -> None:
    die(store, "ann", "n1", 1000.0)
    assert store.notices.retry("n1", now=5000.0)
    assert (got(store, "n1").made_at, got(store, "n1").since) == (1000.0, 5000.0)
    assert store.connection.client.ttl("labq:notice:n1") == -1


def test_quiet_hours_do_not_count_as_waiting(store: Store) -> None:
    store.notices.make([NewNotice("n1", "ann", "failed", "{}", "quiet:ann", 5000.0)], now=1000.0)
    assert store.notices.due(now=5000.0, again=10.0) == ["n1"]
    assert got(store, "n1").since == 5000.0


def test_a_lane_that_grows_too_long_becomes_one_digest_that_counts_all(store: Store) -> None:
    at = now()
    for number in range(MOST_WAITING + 1):
        make(store, "ann", f"n{number}", at)
        if number == MOST_WAITING - 1:
            assert store.notices.fold(["ann"], now=at) == 0
    make(store, "ann", "test-1", at, "test")
    store.connection.client.hset("labq:notice:n7", "unsure", "1")
    assert store.notices.fold(["ann"], now=at + 5) == MOST_WAITING - 2
    assert store.notices.lane("ann") == ["n0", "n1", "n7", "test-1"]
    digest = got(store, "n1")
    assert (digest.kind, digest.total, digest.since) == ("digest", MOST_WAITING - 1, at + 5)
    jobs = [News.from_json(item).job for item in digest.items]
    assert jobs == [f"n{number}" for number in range(1, MOST_WAITING + 1) if number != 7]
    assert store.notices.get("n2") is None
    # More of it: what a digest does not list any more, it counts.
    for number in range(1000, 1000 + 3 * MOST_WAITING):
        make(store, "ann", f"n{number}", at)
        store.notices.fold(["ann"], now=at)
    store.notices.fold(["ann"], now=at, most=1)
    digest = got(store, "n1")
    assert (len(digest.items), digest.total) == (MOST_ITEMS, 4 * MOST_WAITING - 1)
    assert store.connection.client.llen("labq:notice:n1:items") == MOST_ITEMS


def test_a_night_of_thousands_is_counted_and_not_kept(store: Store) -> None:
    held = [NewNotice(f"n{at}", "ann", "failed", "{}", "quiet:ann", 5000.0) for at in range(MOST_ITEMS + 20)]
    store.notices.make(held, now=1.0)
    assert (len(got(store, "n0").items), got(store, "n0").total) == (MOST_ITEMS, MOST_ITEMS + 20)


def test_the_follower_folds_what_it_makes(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    ann = lab_people.add("ann", digest="off")
    for number in range(MOST_WAITING):
        make(store, "ann", f"n{number}", now())
    slack.next("chat.postMessage", Behaviour(hangs=True))
    make_notifier()
    slack.wait_hanging()
    lab_people.run("ann")
    wait_for(lambda: len(store.notices.lane("ann")) == 2, 20, "the lane to be folded")
    slack.released.set()
    settled(store)
    first, digest = slack.to(ann)
    assert first.notice == "n0"
    assert digest.text.startswith(f"{MOST_WAITING} things happened: ")
    assert "labq ls --state ended" in digest.text


def test_a_dead_letter_is_forgotten_after_two_weeks_or_when_somebody_says_so(store: Store) -> None:
    die(store, "ann", "old", 1000.0)
    die(store, "bob", "new", 2000.0)
    assert [notice.id for notice in store.notices.dead("ann")] == ["old"]
    assert 0 < store.connection.client.ttl("labq:notice:old") <= KEEP
    assert (store.notices.dead_since(1500.0), store.notices.waiting()) == (1, (0, 2))
    store.notices.due(now=1000.0 + KEEP, again=10.0)
    assert [notice.id for notice in store.notices.dead()] == ["new"]
    assert store.notices.forget_dead("new")
    assert not store.notices.forget_dead("new")
    assert (store.notices.dead(), store.connection.client.exists("labq:notice:new")) == ([], 0)


def test_a_test_that_cannot_be_sent_is_no_dead_letter(store: Store) -> None:
    die(store, "ann", "test-1", 1000.0, kind="test")
    assert (store.notices.dead(), store.notices.lane("ann")) == ([], [])
    assert got(store, "test-1").error == "is_archived"
    assert store.connection.client.ttl("labq:notice:test-1") > 0


def test_a_channel_that_the_lab_does_not_allow_any_more_is_written_to_no_more(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    lab_people.add("ann", channel="slack:#general")
    make_notifier()
    lab_people.run("ann")
    settled(store)
    (dead,) = store.notices.dead()
    assert dead.error.startswith("this lab sends no notices to 'slack:#general': legal: slack;")
    assert slack.posts == []


def test_nothing_of_a_removed_person_is_left_for_the_next_of_that_name(store: Store) -> None:
    notices, at = store.notices, now()
    notices.put_preferences("ann", replace(notices.preferences("ann"), digest=False))
    die(store, "ann", "dead", at)
    make(store, "ann", "waits", at)
    notices.make([NewNotice("held", "ann", "failed", "{}", "quiet:ann", at + 100)], now=at)
    notices.note_test("ann", "waits")
    make(store, "bob", "his", at)
    assert notices.forget_person("ann") == 3
    assert notices.preferences("ann").digest
    assert (notices.waiting(), notices.dead(), notices.last_test("ann")) == ((1, 0), [], None)
    assert notices.due(now=at + 200, again=10.0) == ["his"]
    left = [key for key in store.connection.client.scan_iter(f"{keys.NOTICE}*") if not key.endswith(":items")]
    assert left == ["labq:notice:his"]
