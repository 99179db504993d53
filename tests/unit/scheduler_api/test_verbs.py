"""The pure parts of submit, list, rerun and follow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from builders import make_job, make_spec

from labq.errors import BadInputError, LabqError
from labq.ids import check_job_id
from labq.settings import Settings
from labq.states import ACTIVE, FINAL, JobState
from labq.store import Person
from labq_scheduler.api.follow import Place, parse_place
from labq_scheduler.files.layout import DataDir
from labq_scheduler.verbs import listing, submit
from labq_scheduler.verbs.lab import AllowedMount, Site
from labq_scheduler.verbs.rerun import respecify

ANN = Person("ann", 1000, 1000)
SITE = Site(max_time=3600.0, mounts=(AllowedMount("/data", False), AllowedMount("/data/scratch", True)))


@pytest.mark.parametrize(
    ("mount", "legal"),
    [
        ("/data:/d", True), ("/data/a/b:/d:ro", True), ("/data/scratch/x:/d:rw", True), ("/data/:/d", True),
        ("/data//scratch:/d:rw", True), ("/data:/d:rw", False), ("/database:/d", False), ("/:/d", False),
        ("/data/./scratch:/d:rw", True), ("/etc:/d", False),
    ],
)  # fmt: skip
def test_a_mount_lies_in_a_directory_that_the_site_allows(mount: str, legal: bool) -> None:
    spec = make_spec(mounts=[mount])
    if legal:
        assert submit.within_site(spec, SITE).mounts == spec.mounts
    else:
        with pytest.raises(BadInputError):
            submit.within_site(spec, SITE)


def test_the_sites_settings_are_read() -> None:
    site = Site.from_settings(
        Settings({"mounts": "/data:ro, /scratch/:rw", "max_time": "2d"}, env={"HOME": "/x"})
    )
    assert site.mounts == (AllowedMount("/data", False), AllowedMount("/scratch", True))
    assert (site.max_time, site.max_context) == (172_800.0, 20 * 2**30)


def test_a_question_without_words_asks_for_what_is_mine_and_recent() -> None:
    question = listing.parse({}, ANN, now=1e6)
    assert (question.owner, question.states, question.since) == ("ann", frozenset(JobState), 1e6 - 86_400)
    assert listing.parse({"state": "ended"}, ANN, now=1e6).since == 0
    assert listing.parse({"state": "active"}, ANN, now=1e6).states == ACTIVE
    assert listing.parse({"state": "ended,queued"}, ANN, now=1e6).states == FINAL | {JobState.QUEUED}
    assert listing.parse({"since": "1h"}, ANN, now=1e6).since == 1e6 - 3600
    assert listing.parse({"owner": "*"}, ANN, now=1e6).owner is None


def test_an_active_job_is_recent_however_old() -> None:
    question = listing.Question("ann", frozenset(JobState), since=1e9)
    assert question.wants(make_job("1"))
    assert not question.wants(make_job("1", JobState.SUCCEEDED))
    assert question.wants(replace(make_job("1", JobState.SUCCEEDED), ended_at=2e9))


def test_a_rerun_drops_what_was_waited_for_and_takes_changes() -> None:
    old = make_spec(after=["7"], time="30m", env={"A": "1"}, seed=5)
    spec, warnings = respecify(old, {"env": None, "gpus": "2"}, SITE)
    assert (spec.after, spec.env, spec.gpus.count, spec.seed) == ((), {}, 2, 5)
    assert warnings == ("it does not wait for other jobs again",)
    assert respecify(old, {"after": ["8"]}, SITE)[1] == ()


@pytest.mark.parametrize("changes", [[], "gpus", {"gpuz": 1}, {"time": "2h"}, {"context": "a" * 64}])
def test_illegal_changes_are_refused(changes: object) -> None:
    with pytest.raises(BadInputError):
        respecify(make_spec(), changes, SITE)


@pytest.mark.parametrize("place", [Place(3, 120), Place(0, 7, ("node-1.example", 12))])
def test_a_place_in_a_log_is_read_back_from_its_id(place: Place) -> None:
    assert parse_place(str(place)) == place


@pytest.mark.parametrize("text", ["1", "a:1", "1:", "build:n1:1", "build::1:1", "1:1:1", "-1:0", "1:١"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        parse_place(text)


@pytest.mark.parametrize(
    "path",
    ["1/1.labqlog", "12.3/2.labqlog", "images/ref-a_b-2.4@n1-3.labqlog", "images/ctx-ab@x@n-1.labqlog"],
)
def test_an_agent_may_send_logs(path: str) -> None:
    assert DataDir(Path("/d")).sent_log(path) == Path("/d/logs") / path


@pytest.mark.parametrize(
    "path", ["1/../1.labqlog", "/1/1.labqlog", "1/1", "images/..labqlog/x", "x/1.labqlog", "1/1.labqlog\n"]
)
def test_an_agent_may_send_nothing_else(path: str) -> None:
    with pytest.raises(LabqError):
        DataDir(Path("/d")).sent_log(path)


@pytest.mark.parametrize("text", ["1\n", "1.2\n", "１"])
def test_an_id_ends_where_it_ends(text: str) -> None:
    with pytest.raises(BadInputError):
        check_job_id(text)


@pytest.mark.parametrize(
    "wire",
    [
        {"tags": ["a\n"]},
        {"env": {"A\n": "1"}},
        {"image": "busybox\n"},
        {"nodes": ["n1\n"]},
        {"secrets": ["A\n"]},
    ],
)
def test_a_line_break_at_the_end_of_a_name_is_refused(wire: dict[str, object]) -> None:
    with pytest.raises(BadInputError):
        make_spec(**wire)
