"""The first admin and a node's token, before anybody has one."""

from __future__ import annotations

import pytest

from labq.store import Store
from labq_scheduler.__main__ import main


def test_an_admin_and_a_node_get_a_token_each(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--redis-url", redis_url, "--add-admin", "ann", "--uid", "1001", "--gid", "1002"]) == 0
    assert main(["--redis-url", redis_url, "--add-node", "gpu01"]) == 0
    ann, node = capsys.readouterr().out.split()
    people = Store(redis_url).people
    found = people.whose(ann)
    assert found is not None
    assert (found.name, found.uid, found.gid, found.admin, found.agent) == ("ann", 1001, 1002, True, False)
    agent = people.whose(node)
    assert agent is not None
    assert (agent.name, agent.admin, agent.agent) == ("node-gpu01", False, True)


def test_an_unknown_account_needs_its_ids(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--redis-url", redis_url, "--add-admin", "no-such-account"]) == 2
    assert "'no-such-account'" in capsys.readouterr().err


def test_without_a_redis_it_says_where_to_name_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABQ_CONFIG", "/dev/null")
    monkeypatch.delenv("LABQ_REDIS_URL", raising=False)
    assert main(["--add-node", "gpu01"]) == 2
    assert "LABQ_REDIS_URL" in capsys.readouterr().err


def test_no_admin_is_called_as_an_agent(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--redis-url", redis_url, "--add-admin", "node-n1", "--uid", "1", "--gid", "1"]) == 2
    said = capsys.readouterr()
    assert "no person can be called 'node-n1'" in said.err
    assert "--add-node n1" in said.err
    assert said.out == ""
