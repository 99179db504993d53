"""The right person gets the right sentence, once."""

from __future__ import annotations

from dataclasses import replace

from integration.notify.conftest import MakeNotifier, People, let_time_pass, settled
from support.slack import SlackServer
from support.waiting import wait_for

from labq import moves
from labq.clock import now
from labq.ending import EndReason, Judgement
from labq.store import Store


def test_each_end_is_told_to_its_owner_once(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    ann = lab_people.add("ann", events="all", digest="off")
    bob = lab_people.add("bob", events="all", digest="off")
    make_notifier(LABQ_GRAFANA_URL="https://grafana.lab/", LABQ_PUBLIC_URL="https://labq.lab")
    good = lab_people.run("ann", name="good")
    (bad,) = lab_people.submit("bob", name="bad")
    lab_people.log(bad, b"\x1b[31mepoch 1\x1b[0m\nbar 10%\rbar 99%\nValueError: <nan> & more\n")
    lab_people.start(bad)
    lab_people.end(bad, EndReason.EXIT_CODE, "Failed: exit code 1 after 20s, last line: ValueError.")
    (lost,) = lab_people.submit("ann", name="lost", retries=1)
    lab_people.start(lost)
    lab_people.end(lost, EndReason.NODE_LOST, "Failed: node n1 was lost.", None)
    (stuck,) = lab_people.submit("ann", name="stuck")
    lab_people.end(stuck, EndReason.DEPENDENCY_FAILED, f"Failed: job {bad} did not succeed.", None)
    settled(store)
    assert [post.body["blocks"][0]["text"]["text"] for post in slack.to(ann)] == [
        f"Job {good} good succeeded",
        f"Job {lost} lost lost its node and waits again",
        f"Job {stuck} stuck failed",
    ]
    text = slack.to(ann)[0].text
    assert "Ran: 20s" in text
    assert "Peak memory: 1.5GB of 4GB" in text
    assert "1 × RTX 4090 on n1" in text
    (post,) = slack.to(bob)
    assert "epoch 1\nbar 99%\nValueError: &lt;nan&gt; &amp; more" in post.text
    (section,) = post.body["blocks"][-1]["elements"]
    links = [element["url"] for element in section["elements"] if element["type"] == "link"]
    (link,) = links
    assert link.startswith(f"https://grafana.lab/d/labq-my-jobs?var-user=bob&var-job={bad}&from=")
    assert f"labq logs {bad}" in post.text
    assert len(slack.posts) == 4
    assert store.notices.counts() == {
        ("succeeded", "sent"): 1,
        ("failed", "sent"): 2,
        ("requeued", "sent"): 1,
    }


def test_who_cancels_their_own_job_is_not_told_and_others_are(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    ann = lab_people.add("ann")
    make_notifier()
    for reason, by in ((EndReason.CANCELLED_BY_USER, "ann"), (EndReason.CANCELLED_BY_ADMIN, "root")):
        (job_id,) = lab_people.submit("ann", name="job-of-ann")
        job = store.jobs.get(job_id)
        judgement = Judgement(reason, f"Cancelled by {by} before it started.")
        store.jobs.move(job, moves.ended(job, judgement, None, now()), now=now(), by=by)
    settled(store)
    (post,) = slack.to(ann)
    assert "Cancelled by root before it started." in post.text


def test_a_name_alerts_nobody_and_breaks_nothing(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    ann = lab_people.add("ann", digest="off")
    make_notifier()
    (job_id,) = lab_people.submit("ann", name="x")
    lab_people.start(job_id)
    lab_people.log(job_id, b"<!channel> <@U1> *bold* `code` " + b"&" * 200_000 + b"\n" + b"<!here>\n" * 40)
    evil = "Failed: <!channel> <https://evil|click> *x* :tada: " + "<" * 5000
    lab_people.end(job_id, EndReason.EXIT_CODE, evil)
    settled(store)
    (post,) = slack.to(ann)
    raw = str(post.body)
    assert "<" not in raw
    assert "&lt;!channel&gt;" in raw
    assert "mrkdwn'" not in raw.replace("'mrkdwn': False", "")
    assert (post.body["parse"], post.body["mrkdwn"], post.body["link_names"]) == ("none", False, False)


def test_an_array_of_200_is_one_message_and_one_early_when_the_first_fails(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    ann = lab_people.add("ann")
    make_notifier()
    tasks = lab_people.submit("ann", list(range(200)), name="sweep")
    for task in tasks[:50]:
        lab_people.start(task)
    lab_people.end(tasks[0], EndReason.EXIT_CODE, "Failed: exit code 1 after 20s.")
    wait_for(lambda: slack.to(ann), 20, "the first failure to be told")
    for task in tasks[1:50]:
        lab_people.end(task, EndReason.COMPLETED, "Succeeded after 20s.", 0)
    for task in tasks[50:]:
        lab_people.start(task)
        code = 1 if task.endswith("7") else 0
        reason = EndReason.EXIT_CODE if code else EndReason.COMPLETED
        lab_people.end(task, reason, "Failed: exit code 1." if code else "Succeeded.", code)
    settled(store)
    early, last = slack.to(ann)
    assert "The rest of the array goes on" in early.text
    array = tasks[0].partition(".")[0]
    assert last.body["blocks"][0]["text"]["text"] == f"Array {array} sweep is over: 184 succeeded, 16 failed"
    assert [tasks[57], "failed"] in [line.split()[:2] for line in last.text.splitlines()]
    assert "and 180 more" in last.text


def test_jobs_of_one_name_that_end_together_are_gathered(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    ann = lab_people.add("ann")
    make_notifier()
    for _ in range(30):
        lab_people.run("ann", name="train")
    wait_for(lambda: store.events.cursor("notices") == store.events.last_id(), 20, "the events to be read")
    assert store.notices.waiting()[0] <= 2
    assert let_time_pass(store) == 1
    settled(store)
    first, rest = slack.to(ann)
    assert "train succeeded" in first.text
    assert rest.body["blocks"][0]["text"]["text"] == "29 jobs named train: 29 succeeded"


def test_quiet_hours_hold_everything_back_and_end_in_one_message(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    ann = lab_people.add("ann")
    # Quiet from an hour ago to an hour from now, wherever the clock stands.
    clock = [f"{int((now() / 3600 + shift) % 24):02d}:00" for shift in (-1, 2)]
    wanted = replace(store.notices.preferences("ann"), quiet="-".join(clock), zone="UTC")
    store.notices.put_preferences("ann", wanted)
    make_notifier()
    jobs = [lab_people.run("ann", name=f"night{i}", fails="oops") for i in range(3)]
    wait_for(lambda: store.events.cursor("notices") == store.events.last_id(), 20, "the events to be read")
    assert (slack.posts, store.notices.waiting()) == ([], (1, 0))
    assert let_time_pass(store) == 1
    settled(store)
    (post,) = slack.to(ann)
    assert "3 things happened: 3 failed" in post.text
    assert all(job in post.text for job in jobs)


def test_short_successes_strangers_and_what_nobody_wants_are_not_told(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    lab_people.add("ann", longer_than="60s")
    lab_people.add("bob", events="failed")
    lab_people.add("eve", channel="none")
    make_notifier()
    for owner in ("ann", "bob", "eve", "unknown"):
        lab_people.run(owner)
    settled(store)
    assert slack.posts == []
    failed = lab_people.run("bob", fails="boom")
    settled(store)
    assert [failed in post.text for post in slack.posts] == [True]


def test_an_idle_job_is_told_with_when_it_ends(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    ann = lab_people.add("ann")
    make_notifier()
    (job_id,) = lab_people.submit("ann", name="lazy")
    job = lab_people.start(job_id)
    at = now()
    store.idle.tell(job, 1, idle=1800, ends_at=at + 1800, now=at)
    settled(store)
    (post,) = slack.to(ann)
    assert "lazy does not use its GPU" in post.text
    assert "It has held its GPU for 30m00s without using it;" in post.text
    assert "It is ended in 30m00s" in post.text
