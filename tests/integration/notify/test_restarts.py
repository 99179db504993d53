"""Killed at the worst moments: each notice is sent exactly once, in order for each person."""

from __future__ import annotations

import random
import time

import pytest
from integration.notify.conftest import MakeNotifier, People, settled
from support.redis import RedisServer
from support.slack import Behaviour, SlackServer
from support.waiting import wait_for

from labq.clock import monotonic
from labq.store import Store, keys
from labq_scheduler.notify.follower import AGAIN


def jobs_told(slack: SlackServer, slack_id: str) -> list[str]:
    """The jobs that one person was told of, in order."""
    return [post.body["blocks"][0]["text"]["text"].split()[1] for post in slack.to(slack_id)]


@pytest.mark.parametrize("posted", [True, False])
def test_a_notifier_that_dies_while_it_posts_is_followed_by_one_that_looks_first(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store, posted: bool
) -> None:
    ann = lab_people.add("ann", digest="off")
    slack.next("chat.postMessage", Behaviour(done=posted, hangs=True))
    notifier = make_notifier()
    jobs = [lab_people.run("ann", name="a"), lab_people.run("ann", name="b")]
    slack.wait_hanging()
    assert len(slack.posts) == int(posted)
    notifier.kill()
    notifier.up()
    settled(store)
    assert jobs_told(slack, ann) == jobs
    assert slack.called("conversations.history") == 1
    assert slack.called("chat.postMessage") == (2 if posted else 3)


@pytest.mark.parametrize(
    "behaviour", [Behaviour(done=True, hangs=True), Behaviour(done=True, status=502), Behaviour(status=500)]
)
def test_an_answer_that_says_nothing_is_looked_into_before_anything_is_sent_again(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store, behaviour: Behaviour
) -> None:
    ann = lab_people.add("ann")
    slack.next("chat.postMessage", behaviour)
    make_notifier()
    job = lab_people.run("ann")
    settled(store)
    assert jobs_told(slack, ann) == [job]
    assert slack.called("conversations.history") == 1


def test_a_wait_that_slack_asks_for_is_kept_over_a_restart_and_keeps_the_order(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    ann, bob = lab_people.add("ann", digest="off"), lab_people.add("bob")
    slack.next("chat.postMessage", Behaviour(status=429, headers={"Retry-After": "4"}, error="ratelimited"))
    notifier = make_notifier()
    began = time.time()  # noqa: TID251 - Slack's own clock
    jobs = [lab_people.run("ann") for _ in range(3)]
    wait_for(lambda: slack.called("chat.postMessage"), 20, "the first try")
    wait_for(lambda: store.notices.paused("slack DUANN000") > 1, 5, "the wait to be noted")
    # Killed before that, it would have to look: nobody had written that Slack answered.
    wait_for(lambda: (head := store.notices.head("ann")) and not head.unsure, 5, "the answer to be noted")
    assert store.notices.paused("slack") == 0
    notifier.kill()
    notifier.up()
    others = [lab_people.run("bob")]
    settled(store)
    assert jobs_told(slack, ann) == jobs
    assert jobs_told(slack, bob) == others
    assert slack.to(ann)[0].at - began >= 4
    assert slack.called("chat.postMessage") == 5
    assert slack.called("conversations.history") == 0  # a refusal is an answer: nobody need look


def test_two_notifiers_tell_nobody_twice(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    people = {name: lab_people.add(name, digest="off") for name in ("ann", "bob", "eve")}
    make_notifier()
    make_notifier()
    jobs: dict[str, list[str]] = {name: [] for name in people}
    for at in range(24):
        name = list(people)[at % 3]
        jobs[name].append(lab_people.run(name))
    settled(store)
    assert {name: jobs_told(slack, people[name]) for name in people} == jobs


def test_killed_again_and_again_it_loses_nothing_and_doubles_nothing(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    people = {name: lab_people.add(name, digest="off") for name in ("ann", "bob")}
    notifier = make_notifier()
    chance = random.Random(4)
    jobs: dict[str, list[str]] = {name: [] for name in people}
    for at in range(36):
        name = chance.choice(list(people))
        jobs[name].append(lab_people.run(name))
        if at % 12 == 11:
            # At any moment: how far it came when this post arrived is chance.
            wanted = min(at, len(slack.posts) + chance.randrange(3))
            wait_for(lambda wanted=wanted: len(slack.posts) >= wanted, 30, "posts")  # type: ignore[misc]
            notifier.kill()
            notifier.up()
    settled(store, timeout=60)
    assert {name: jobs_told(slack, people[name]) for name in people} == jobs


def test_a_redis_that_dies_costs_nothing_but_time(
    make_notifier: MakeNotifier,
    lab_people: People,
    slack: SlackServer,
    store: Store,
    redis_server: RedisServer,
) -> None:
    ann = lab_people.add("ann", digest="off")
    make_notifier()
    jobs = [lab_people.run("ann") for _ in range(5)]
    wait_for(lambda: slack.posts, 20, "the first post")
    redis_server.restart()
    jobs += [lab_people.run("ann") for _ in range(5)]
    settled(store)
    assert jobs_told(slack, ann) == jobs


def test_ended_in_order_it_finishes_what_it_sends(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    ann = lab_people.add("ann", digest="off")
    notifier = make_notifier()
    jobs = [lab_people.run("ann") for _ in range(8)]
    wait_for(lambda: len(slack.posts) >= 3, 20, "some posts")
    assert notifier.down() == 0
    assert store.notices.get(slack.posts[-1].notice).state == "sent"  # type: ignore[union-attr]
    notifier.up()
    settled(store)
    assert jobs_told(slack, ann) == jobs
    assert slack.called("conversations.history") == 0


def test_two_notifiers_share_the_work_and_neither_keeps_a_lane_from_the_other(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    people = [f"p{number}" for number in range(8)]
    for name in people:
        lab_people.add(name, digest="off")
    make_notifier()
    make_notifier()
    # A hint goes to any of the two: were a lane kept by the other, it would rest for ten seconds, every second time.
    for number in range(3):
        began = monotonic()
        for name in people:
            lab_people.run(name, fails="oops")
        settled(store)
        assert number == 0 or monotonic() - began < AGAIN
    assert len(slack.posts) == 3 * len(people)
    held = f"{keys.NOTICES}lock:*"
    wait_for(lambda: not store.connection.client.keys(held), 5, "the lanes to be let go of")
