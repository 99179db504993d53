"""The description of the API, the page that promises it and the server say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest
from builders import make_job, make_node

from labq.states import JobState
from labq.wire import attempt_view, gpu_view, job_view, node_view
from labq_scheduler.api import schemas
from labq_scheduler.api.app import create_app
from labq_scheduler.files.contexts import ContextFiles
from labq_scheduler.verbs.lab import Lab

PAGE = Path(__file__).parents[3] / "docs/architecture.md"


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    from labq.store import Store
    from labq_scheduler.board import Board
    from labq_scheduler.dispatch import Dispatcher
    from labq_scheduler.files.layout import DataDir
    from labq_scheduler.records.history import History
    from labq_scheduler.usage.ledger import Ledger
    from labq_scheduler.verbs.lab import Site

    url = "unix:///nonexistent.sock"
    store, files = Store(url), DataDir(Path("/nonexistent"))
    board, history = Board(store), History("", files.root)
    contexts, ledger = ContextFiles(files, 1), Ledger(board, history, lambda: 1.0)
    lab = Lab(store, board, Dispatcher(url), files, contexts, history, ledger, Site())
    return create_app(lab).openapi()


def routes_of_the_page() -> set[tuple[str, str]]:
    """Returns method and path of each row of the page's table."""
    found = set()
    for row in re.findall(r"^\| (`.*?) \|", PAGE.read_text(), re.MULTILINE):
        method, last = "", ""
        for part in re.findall(r"`([^`]*)`", row):
            match = re.match(r"(?:((?:GET|PUT|POST|HEAD|DELETE)(?:/[A-Z]+)*) )?(/\S*)$", part)
            if match is None:
                continue
            method, path = match[1] or method, match[2].partition("?")[0]
            if not path.startswith(("/v1", "/healthz", "/readyz", "/metrics")):
                path = last.rsplit("/", 1)[0] + path
            last = path
            found |= {(one, path) for one in method.split("/")}
    return found


def test_every_route_of_the_page_is_served_and_described(api: dict[str, Any]) -> None:
    def plain(path: str) -> str:
        return re.sub(r"\{[^}]*\}", "{}", path)

    served = {(method.upper(), plain(path)) for path, methods in api["paths"].items() for method in methods}
    promised = {(method, plain(path)) for method, path in routes_of_the_page()}
    promised.discard(("GET", "/v1/images/{}/log"))  # one route with the image: its key may have slashes
    assert len(promised) > 25
    assert promised - served == set()
    assert served - promised == set()


def test_every_route_says_its_answers_and_errors(api: dict[str, Any]) -> None:
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["description"], where
            assert "422" not in operation["responses"], where
            if method != "head":
                assert "default" in operation["responses"], where


def test_every_reference_leads_somewhere(api: dict[str, Any]) -> None:
    names = set(re.findall(r"#/components/schemas/(\w+)", str(api)))
    assert names <= set(api["components"]["schemas"])


def described(name: str) -> set[str]:
    return set(cast(dict[str, Any], schemas.components()[name]["properties"]))


def test_the_views_have_just_the_keys_that_are_described() -> None:
    job, node = make_job("1", JobState.SUCCEEDED), make_node(gpus=1)
    view = node_view(node, {}, {}, 0.0)
    # "links" is there only where the server knows a Grafana
    assert set(job_view(job)) | {"links"} == described("Job")
    assert set(job_view(job, full=False)) == described("JobShort")
    assert set(view) == described("Node")
    assert set(gpu_view(node, 0, {}, {})) == described("Gpu")
    assert "owner" in schemas.components()["Submitted"]["properties"]


def test_an_attempt_has_just_the_keys_that_are_described() -> None:
    from labq.ending import EndReason
    from labq.job import Attempt

    attempt = Attempt(1, "n1", (), "l", None, 1.0, 0, EndReason.COMPLETED, "Over.")
    assert set(attempt_view(attempt)) == described("Attempt")


def test_a_run_of_the_provisioner_has_just_the_keys_that_are_described() -> None:
    from labq.provision import Run, RunEvent
    from labq.provision_request import Request

    run = Run("1", Request("site.yml"), "hana", 0.0)
    assert set(run.view()) == described("Run")
    assert set(run.request.to_json()) == described("ProvisionRequest")
    news = schemas.components()["RunNews"]["properties"]["events"]["items"]["properties"]
    assert set(RunEvent(0.0, "task").to_json(1)) == set(news)
