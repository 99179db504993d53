"""A node that was removed from the lab and comes back with the old password of Redis takes no jobs."""

import threading

import pytest
from integration.worker.conftest import Maker
from integration.worker.node import AgentNode
from support.redis import RedisServer
from support.waiting import wait_for

from labq.clock import now
from labq.errors import NotFoundError
from labq.store import Person

REFUSED = "the token of node gone is not accepted: it was removed from the lab"


def forget(node: AgentNode) -> None:
    """As `labq nodes --remove` does."""
    node.store.people.remove("node-gone")
    node.store.nodes.remove("gone", now=now())


def refused(node: AgentNode, times: int) -> None:
    """Waits until the agent has said so for so many times, and nobody knows the node."""
    wait_for(lambda: node.said().count(REFUSED) == times, 20, "the agent to be refused", hint=node.said)
    with pytest.raises(NotFoundError):
        node.store.nodes.get("gone")


def test_where_nodes_share_a_password_it_registers_neither_while_it_runs_nor_at_its_start_until_it_joins_again(
    make_node: Maker, redis_session: RedisServer
) -> None:
    people = make_node("any").store.people
    people.put(Person("node-gone", agent=True))
    token = people.new_token("node-gone")
    settings = {
        "LABQ_SHARED_FILES": "0",
        "LABQ_SERVER": "http://127.0.0.1:9",
        "LABQ_NODE_TOKEN": token,
        "LABQ_REDIS_URL": redis_session.url,
    }
    node = make_node("gone", settings)
    node.start()
    assert node.store.nodes.get("gone").alive
    forget(node)
    refused(node, 1)
    node.kill()
    starting = threading.Thread(target=node.start)
    starting.start()
    refused(node, 2)
    assert starting.is_alive()  # it does not listen for messages either
    people.put(Person("node-gone", agent=True))
    people.add_token("node-gone", token)
    starting.join(20)
    assert node.store.nodes.get("gone").alive
    assert token not in node.said()


def test_where_each_has_a_user_of_its_own_it_is_cut_off_and_says_so(make_node: Maker) -> None:
    node = make_node("cut")
    node.start()
    assert node.store.nodes.get("cut").alive
    node.store.node_users.forget("cut")
    node.store.nodes.remove("cut", now=now())
    told = "Redis does not accept the password in LABQ_REDIS_URL"
    wait_for(lambda: told in node.said(), 20, "the agent to say so", hint=node.said)
    node.kill()
    before = len(node.said())
    starting = threading.Thread(target=lambda: pytest.raises(AssertionError, node.start))
    starting.start()
    wait_for(lambda: told in node.said()[before:], 15, "the agent to say so at its start", hint=node.said)
    with pytest.raises(NotFoundError):
        node.store.nodes.get("cut")
    starting.join(30)
    assert not starting.is_alive()
