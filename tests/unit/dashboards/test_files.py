"""The checked-in dashboards: made from the code, whole, and each panel says what it is."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.grafana import FOLDER, REPO, boards

from labq.holding.reading import GpuState
from labq.states import ACTIVE, JobState
from labq_dashboards import frame, palette
from labq_dashboards.files import all_files
from labq_dashboards.sdk import JSONEncoder, models, register_default_plugins

BOARDS = boards()
Json = dict[str, Any]
VALUES = ("stat", "table", "timeseries", "bargauge", "state-timeline")
SOURCE = {"type": "prometheus", "uid": "prometheus"}
PANELS: list[tuple[str, Json]] = [
    (f"{name}/{panel['title']}", panel) for name, board in BOARDS.items() for panel in board["panels"]
]


def of_kinds(*kinds: str) -> list[Any]:
    return [pytest.param(panel, id=name) for name, panel in PANELS if not kinds or panel["type"] in kinds]


def test_the_files_are_those_that_the_code_makes() -> None:
    made = all_files(REPO)
    for path, text in made.items():
        assert path.read_text() == text, f"{path} is stale: make dashboards"
    assert {path for path in made if path.suffix == ".json"} == set(FOLDER.glob("*.json"))


def test_the_files_do_not_depend_on_where_the_repository_lies(tmp_path: Path) -> None:
    texts = {path.relative_to(tmp_path): text for path, text in all_files(tmp_path).items()}
    assert texts == {path.relative_to(REPO): text for path, text in all_files(REPO).items()}


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_says_the_same_after_a_round_trip_through_the_typed_model(name: str) -> None:
    register_default_plugins()
    # What the model does not know is lost on the way: a misspelt key, a key of another version of Grafana.
    model = models.Dashboard.from_json(json.loads((FOLDER / f"{name}.json").read_text()))
    assert json.loads(JSONEncoder().encode(model)) == BOARDS[name]


def test_a_misspelt_key_does_not_survive_the_round_trip() -> None:
    register_default_plugins()
    wrong = json.loads(json.dumps(BOARDS["labq-now"])) | {"refrsh": "1s"}
    wrong["panels"][0]["fieldConfig"]["defaults"]["unti"] = "s"
    assert json.loads(JSONEncoder().encode(models.Dashboard.from_json(wrong))) == BOARDS["labq-now"]


def test_uids_are_the_files_names_and_titles_are_different() -> None:
    assert list(BOARDS) == sorted(frame.LINKS)
    assert {name: board["uid"] for name, board in BOARDS.items()} == {name: name for name in BOARDS}
    titles = [board["title"] for board in BOARDS.values()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_read_only_of_one_schema_and_says_what_it_answers(name: str) -> None:
    board = BOARDS[name]
    assert board["editable"] is False
    assert board["schemaVersion"] == 42, "what Grafana 12 writes, and 13 reads"
    assert board["description"].endswith("?")
    assert board["tags"] == ["labq"]
    assert re.fullmatch(r"[0-9]+[sm]", board["refresh"])


@pytest.mark.parametrize("name", BOARDS)
def test_panels_have_ids_and_titles_of_their_own_and_are_few(name: str) -> None:
    panels = BOARDS[name]["panels"]
    ids, titles = [panel["id"] for panel in panels], [panel["title"] for panel in panels]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)
    assert len(panels) <= 12, "a page that answers one question"
    assert {panel["type"] for panel in panels} <= {"text", *VALUES}


@pytest.mark.parametrize("name", BOARDS)
def test_panels_fill_the_width_and_lie_beside_each_other(name: str) -> None:
    places = [panel["gridPos"] for panel in BOARDS[name]["panels"]]
    for one, other in itertools.combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
    for y in {place["y"] for place in places}:
        assert sum(place["w"] for place in places if place["y"] == y) == frame.WIDTH


@pytest.mark.parametrize("panel", of_kinds())
def test_a_panel_has_title_and_description(panel: Json) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")


@pytest.mark.parametrize("panel", of_kinds(*VALUES))
def test_a_panel_of_values_has_a_unit_a_word_for_nothing_and_the_one_source(panel: Json) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"]
    assert defaults["noValue"]
    assert defaults["thresholds"]["steps"][0].get("value") is None
    assert panel["datasource"] == SOURCE
    assert [target["datasource"] for target in panel["targets"]] == [SOURCE] * len(panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0


@pytest.mark.parametrize("panel", of_kinds("table"))
def test_a_table_shows_each_value_in_a_column_with_a_title(panel: Json) -> None:
    organize = panel["transformations"][-1]["options"]
    for target in panel["targets"]:
        value = f"Value #{target['refId']}"
        label = target["refId"] == "A" or value in organize["renameByName"]
        assert label or "driver" in organize["renameByName"], value
    titles = set(organize["renameByName"].values())
    assert {each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]} == titles
    assert {each["displayName"] for each in panel["options"]["sortBy"]} <= titles


@pytest.mark.parametrize("name", BOARDS)
def test_every_link_leads_to_a_dashboard_and_a_variable_that_exist(name: str) -> None:
    board = BOARDS[name]
    ways = [link["url"] for link in board["links"]]
    assert {way.removeprefix("/d/") for way in ways} == set(BOARDS) - {name}
    assert all(link["includeVars"] and link["keepTime"] for link in board["links"])
    for uid, rest in re.findall(r'"/d/([a-z-]+)\?([^"]*)"', json.dumps(board)):
        known = {variable["name"] for variable in BOARDS[uid]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", rest)) <= known, (uid, rest)


def test_the_states_of_gpus_and_jobs_are_those_of_the_code_with_one_colour_each() -> None:
    assert set(palette.GPU_SECONDS) == set(GpuState)
    known = dict(palette.GPU_STATES.values())
    assert {
        state: known["held without use" if state == "held" else state] for state in palette.GPU_SECONDS
    } == palette.GPU_SECONDS
    assert set(palette.JOB_STATES) == {state for state in JobState if state in ACTIVE}


def test_the_numbers_of_gpu_states_are_those_of_the_metrics_help() -> None:
    from labq_exporter.table import BY_NAME

    said = dict(re.findall(r"(\d) ([a-z ]+)", BY_NAME["labq_gpu_state"].help))
    names = {str(code): name for code, (name, _) in palette.GPU_STATES.items() if code < 5}
    assert {code: text.removesuffix(" by the queue") for code, text in said.items()} == names
