"""The record of a run, its moves, and what may be asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labq.errors import BadInputError, IllegalMoveError
from labq.provision import FINAL, MOVES, Failure, HostStats, Run, RunState
from labq.provision_request import NewNode, Request

REQUESTS = st.builds(
    Request,
    st.sampled_from(["site.yml", "gpu_nodes.yml"]),
    st.sampled_from(["", "gpu01", "gpu_nodes:!gpu03"]),
    st.lists(st.sampled_from(["docker", "base"]), max_size=2).map(tuple),
    st.booleans(),
    st.booleans(),
    st.none(),
)


@pytest.mark.parametrize("old", RunState)
@pytest.mark.parametrize("new", RunState)
def test_a_run_moves_only_as_the_table_says(old: RunState, new: RunState) -> None:
    run = Run("1", Request("site.yml"), "hana", 1.0, old)
    if (old, new) in MOVES:
        assert run.moved(new).state is new
    else:
        with pytest.raises(IllegalMoveError, match=f"a run that is {old} cannot become {new}"):
            run.moved(new)


def test_nothing_leads_out_of_an_end_and_every_end_is_reached() -> None:
    assert {old for old, _ in MOVES} & FINAL == set()
    assert {new for _, new in MOVES} >= FINAL


@given(REQUESTS, st.sampled_from(RunState), st.floats(0, 1e10))
def test_a_record_and_a_request_cross_the_wire_as_themselves(
    request: Request, state: RunState, at: float
) -> None:
    run = Run(
        "7", request, "hana", at, state, at, None, ("6",), ("a",), {"a": HostStats(3, 1, 0, 0, 2, 1.5)},
        (Failure("a", "docker", "Start", "no", "look"),), "so", ("what", "next"),
    )  # fmt: skip
    assert Run.from_json(json.loads(json.dumps(run.to_json()))) == run
    assert Request.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_a_node_to_be_added_names_playbook_and_limit() -> None:
    request = Request.from_json({"host": {"name": "gpu05", "address": "10.0.0.5", "labels": {"rack": "a"}}})
    assert (request.playbook, request.limit) == ("gpu_nodes.yml", "gpu05")
    assert request.host == NewNode("gpu05", "10.0.0.5", labels={"rack": "a"})
    assert Request.from_json(request.to_json()) == request


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "no JSON object"),
        ({"play": "site.yml"}, "key 'play' is not known"),
        ({"playbook": "../../etc/x.yml"}, "playbook '../../etc/x.yml' is not legal"),
        ({"playbook": "--version"}, "playbook '--version' is not legal"),
        ({"limit": "@/etc/shadow"}, "limit '@/etc/shadow' is not legal"),
        ({"limit": "--become"}, "limit '--become' is not legal"),
        ({"limit": "{{ lookup('pipe', 'id') }}"}, "is not legal"),
        ({"tags": "docker"}, "tags 'docker' is no list"),
        ({"tags": ["docker"] * 101}, "is no list of at most 100"),
        ({"limit": []}, "limit '[]' is no text"),
        ({"host": {"name": "gpu01"}, "check": True}, "a check changes nothing"),
        (
            {"playbook": "remove_node", "limit": "a", "tags": ["always"]},
            "tags 'always' are not for a node that is removed",
        ),
        ({"limit": ["gpu01"], "host": {"name": "gpu01"}}, "limit \"['gpu01']\" is no text"),
        ({"playbook": 0}, "playbook '0' is no text"),
        (
            {"host": {"name": "gpu01", "labels": {f"k{n}": "v" for n in range(101)}}},
            "no object of at most 100",
        ),
        ({"tags": ["a b"]}, "tag 'a b' is not legal"),
        ({"check": "yes"}, "check 'yes' is neither true nor false"),
        ({"host": {"name": "x/y"}}, "node name 'x/y' is not legal"),
        ({"host": {"name": "server"}}, "node name 'server' is taken"),
        ({"host": {"name": "n", "address": "-oProxyCommand=id"}}, "address '-oProxyCommand=id' is not legal"),
        ({"host": {"name": "n", "user": "a b"}}, "user 'a b' is not legal"),
        ({"host": {"name": "n", "port": 70000}}, "port '70000' is not legal"),
        ({"host": {"name": "n", "labels": {"rack": "a b"}}}, "label rack: value 'a b' is not legal"),
        ({"host": {"name": "n"}, "limit": "m"}, "limit 'm' is not the new node"),
        ({"dead": True}, "dead is for a node that is removed"),
    ],
)
def test_what_is_not_legal_is_quoted(body: Any, said: str) -> None:
    with pytest.raises(BadInputError) as caught:
        Request.from_json(body)
    assert said in caught.value.what
