"""A machine joins by a one-time token: what is typed is one command, and nothing secret stays anywhere but in one file."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from builders import make_node
from integration.joining.conftest import Control, answer
from integration.scheduler_api.server_process import Server
from support.waiting import wait_for

from labq.clock import now
from labq.store import Person, Store
from labq.variables import read_variables


def test_a_machine_joins_and_is_then_accepted(
    server: Server, control: Control, worker: Control, tmp_path: Path
) -> None:
    assert worker("--joined", "--name", "gpu05").returncode == 1
    token = control("--node-join", "gpu05").stdout
    joined = worker("--join", "--name", "gpu05", say=token)
    assert (joined.returncode, joined.stderr) == (0, "")
    path = tmp_path / "etc/node.env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["node.env"]
    said = read_variables(path.read_text(), "node.env")
    assert sorted(said) == ["LABQ_NODE", "LABQ_NODE_TOKEN", "LABQ_REDIS_URL"]
    assert said["LABQ_REDIS_URL"].startswith("unix://node-gpu05:")
    assert Store(said["LABQ_REDIS_URL"]).connection.client.client_list()[-1]["user"] == "node-gpu05"
    assert not {token.strip(), said["LABQ_NODE_TOKEN"]} & set(joined.stdout.split())
    assert server.store.people.whose(said["LABQ_NODE_TOKEN"]) == Person("node-gpu05", agent=True)
    assert worker("--joined", "--name", "gpu05").returncode == 0
    # the name of the file, not of whoever asks
    assert worker("--joined", "--name", "gpu06").returncode == 1


def test_a_token_that_was_used_is_refused_and_says_so(
    control: Control, worker: Control, tmp_path: Path
) -> None:
    token = control("--node-join", "gpu05").stdout
    assert worker("--join", "--name", "gpu05", say=token).returncode == 0
    before = (tmp_path / "etc/node.env").read_text()
    again = worker("--join", "--name", "gpu05", say=token)
    assert again.returncode == 3
    assert "was used before" in again.stderr
    assert "labq-scheduler --node-join gpu05" in again.stderr
    assert token.strip() not in again.stderr
    assert (tmp_path / "etc/node.env").read_text() == before
    assert worker("--joined", "--name", "gpu05").returncode == 0


def test_a_token_is_good_for_its_own_node_only_and_a_new_one_replaces_the_old(
    control: Control, worker: Control
) -> None:
    old, new = (control("--node-join", "gpu05").stdout for _ in range(2))
    for name, token in (("gpu06", new), ("gpu05", old), ("gpu05", "labq-join_nonsense"), ("gpu05", "")):
        refused = worker("--join", "--name", name, say=token)
        assert refused.returncode == 3
        assert f"with which {name} may join" in refused.stderr
    assert worker("--join", "--name", "gpu05", say=new).returncode == 0


def test_a_token_dies_after_ten_minutes(server: Server, control: Control) -> None:
    control("--node-join", "gpu05")
    assert 590 < server.store.connection.client.ttl("labq:join:gpu05") <= 600
    kept = server.store.connection.client.get("labq:join:gpu05")
    assert "labq-join_" not in kept
    assert len(kept) == 64


def test_of_many_who_show_the_same_token_at_once_one_joins(server: Server, control: Control) -> None:
    body = {"name": "gpu05", "token": control("--node-join", "gpu05").stdout.strip()}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: httpx.post(f"{server.url}/v1/join", json=body), range(16)))
    assert sorted(each.status_code for each in answers) == [201] + [403] * 15
    (good,) = [each for each in answers if each.status_code == 201]
    assert good.json().keys() == {"name", "token", "redis_url"}
    assert good.headers["cache-control"] == "no-store"


def test_a_machine_that_joins_again_makes_its_old_token_worthless(
    server: Server, control: Control, worker: Control, tmp_path: Path
) -> None:
    tokens = []
    for _ in range(2):
        worker("--join", "--name", "gpu05", say=control("--node-join", "gpu05").stdout)
        tokens.append(read_variables((tmp_path / "etc/node.env").read_text(), "x")["LABQ_NODE_TOKEN"])
    assert [server.store.people.whose(token) is not None for token in tokens] == [False, True]


def test_a_machine_that_is_a_node_does_not_become_another_by_a_wrong_address(
    server: Server, control: Control, worker: Control, tmp_path: Path
) -> None:
    worker("--join", "--name", "gpu05", say=control("--node-join", "gpu05").stdout)
    before = (tmp_path / "etc/node.env").read_text()
    token = control("--node-join", "gpu06").stdout
    refused = worker("--join", "--name", "gpu06", say=token)
    assert refused.returncode == 1
    assert "this machine is node gpu05 of this lab, and was asked to become gpu06" in refused.stderr
    assert "labq node remove gpu05" in refused.stderr
    assert (tmp_path / "etc/node.env").read_text() == before
    assert worker("--joined", "--name", "gpu05").returncode == 0
    # One that was taken out of the lab may come back under another name.
    answer(control("--node-forget", "gpu05"))
    wait_for(
        lambda: worker("--join", "--name", "gpu06", say=token).returncode == 0,
        20,
        "the server to forget gpu05",
    )
    assert worker("--joined", "--name", "gpu06").returncode == 0


def test_a_server_that_is_away_is_no_reason_to_join_again(
    server: Server, control: Control, worker: Control
) -> None:
    worker("--join", "--name", "gpu05", say=control("--node-join", "gpu05").stdout)
    server.end()
    try:
        assert worker("--joined", "--name", "gpu05").returncode == 69
    finally:
        server.start()


def test_a_redis_that_is_away_is_none_either_but_one_that_takes_another_password_is(
    server: Server, control: Control, worker: Control, tmp_path: Path
) -> None:
    worker("--join", "--name", "gpu05", say=control("--node-join", "gpu05").stdout)
    path = tmp_path / "etc/node.env"
    text = path.read_text()
    url = read_variables(text, "node.env")["LABQ_REDIS_URL"]
    path.write_text(text.replace(url, "redis://127.0.0.1:1/0"))
    assert worker("--joined", "--name", "gpu05").returncode == 69
    path.write_text(text.replace("node-gpu05:", "node-gpu05:x"))
    assert worker("--joined", "--name", "gpu05").returncode == 1


def test_a_node_that_shares_the_labs_password_joins_again_and_shares_it_no_more(
    server: Server, control: Control, worker: Control, tmp_path: Path
) -> None:
    worker("--join", "--name", "gpu05", say=control("--node-join", "gpu05").stdout)
    path = tmp_path / "etc/node.env"
    text = path.read_text()
    path.write_text(text.replace(read_variables(text, "node.env")["LABQ_REDIS_URL"], server.redis.url))
    assert worker("--joined", "--name", "gpu05").returncode == 1
    assert worker("--join", "--name", "gpu05", say=control("--node-join", "gpu05").stdout).returncode == 0
    assert worker("--joined", "--name", "gpu05").returncode == 0
    assert "unix://node-gpu05:" in path.read_text()


def test_the_server_tells_a_redis_that_restarted_who_its_nodes_are(
    server: Server, control: Control, worker: Control
) -> None:
    worker("--join", "--name", "gpu05", say=control("--node-join", "gpu05").stdout)
    server.redis.kill()
    server.redis.start()
    wait_for(
        lambda: worker("--joined", "--name", "gpu05").returncode == 0,
        20,
        "the node to be accepted",
        interval=0.2,
    )


def test_no_token_is_made_while_nobody_knows_where_nodes_reach_redis(control: Control) -> None:
    refused = control("--node-join", "gpu05", LABQ_REDIS_URL_NODES="")
    assert refused.returncode == 1
    assert "LABQ_REDIS_URL_NODES_FILE" in refused.stderr


def test_the_address_of_redis_may_stand_in_a_file_of_its_own(
    server: Server, control: Control, tmp_path: Path
) -> None:
    (tmp_path / "url").write_text(server.redis.url + "\n")
    made = control(
        "--node-join", "n1", LABQ_REDIS_URL_NODES="", LABQ_REDIS_URL_NODES_FILE=str(tmp_path / "url")
    )
    assert made.stdout.startswith("labq-join_")


@pytest.mark.parametrize("name", ["", "no good", "../etc", "server", "a" * 64, "_x", "n1\n"])
def test_a_name_that_no_agent_could_have_gets_no_token(control: Control, name: str) -> None:
    refused = control("--node-join", name)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "node name" in refused.stderr


def test_whoever_has_no_token_costs_little(server: Server) -> None:
    url = f"{server.url}/v1/join"
    assert httpx.post(url, content=b"x" * 5000).status_code == 413
    assert httpx.post(url, json={"name": "n1", "token": 5}).status_code == 422
    assert httpx.post(url, json={"name": "n1", "tokn": "x"}).status_code == 422
    assert httpx.post(url, content=(b"{}" for _ in range(1))).status_code == 413  # no Content-Length
    before = server.store.connection.client.info("commandstats").get("cmdstat_get", {}).get("calls", 0)
    for _ in range(20):
        assert httpx.post(url, json={"name": "n1", "token": "guess"}).status_code == 403
    after = server.store.connection.client.info("commandstats").get("cmdstat_get", {}).get("calls", 0)
    assert after - before < 20


def test_a_file_that_cannot_be_written_uses_no_token_up(
    server: Server, control: Control, worker: Control, tmp_path: Path
) -> None:
    token = control("--node-join", "gpu05").stdout
    (tmp_path / "etc").write_text("a file where the directory should be")
    refused = worker("--join", "--name", "gpu05", say=token)
    assert refused.returncode == 2
    assert "--node-env" in refused.stderr
    assert Store(server.redis.url).joining.use_up("gpu05", token.strip()) == "good"


def test_a_removed_node_has_neither_a_token_nor_a_password_left(
    server: Server, control: Control, worker: Control, tmp_path: Path
) -> None:
    worker("--join", "--name", "gpu05", say=control("--node-join", "gpu05").stdout)
    url = read_variables((tmp_path / "etc/node.env").read_text(), "node.env")["LABQ_REDIS_URL"]
    assert Store(url).connection.accepts()
    control("--node-join", "gpu05")
    gone = answer(control("--node-forget", "gpu05"))
    assert (gone["changed"], gone["joined"]) == (True, False)
    assert worker("--joined", "--name", "gpu05").returncode == 1
    assert not Store(url).connection.accepts()
    assert server.store.connection.client.exists("labq:join:gpu05") == 0
    assert answer(control("--node-forget", "gpu05"))["changed"] is False


def test_the_doctor_names_nodes_that_share_the_labs_password(
    server: Server, control: Control, worker: Control
) -> None:
    worker("--join", "--name", "gpu05", say=control("--node-join", "gpu05").stdout)
    for name in ("gpu05", "byhand"):
        server.store.nodes.register(make_node(name), now=now())

    def said() -> str:
        found = server.person("root", admin=True).get("/v1/doctor").json()
        return "".join(each["what"] for each in found if each["name"] == "passwords")

    wait_for(lambda: "byhand" in said(), 10, "the doctor to see the node")
    assert "gpu05" not in said()
    for name in ("gpu05", "byhand"):
        server.store.nodes.remove(name, now=now())
