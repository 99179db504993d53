"""Submissions per second through the API, and one array of 2,000; the node is drained, so that nothing starts."""

from __future__ import annotations

import http.client
import json
import tomllib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from support.engine import BUSYBOX
from support.lab import Lab

from bench.table import row, title
from labq.clock import monotonic

EACH, ROUNDS = 250, 5


def measure(lab: Lab) -> None:
    """Print submissions per second with one and eight clients over keep-alive connections."""
    title("submissions through the API (each its own request and its own spec)")
    (node,) = lab.json("nodes")
    lab.labq("drain", node["name"], "bench")
    token = tomllib.loads(lab.config.read_text())["token"]
    row("one client", [_rate(lab, token, 1, EACH) for _ in range(ROUNDS)], "/s", ">= 250")
    row("eight clients", [_rate(lab, token, 8, EACH // 2) for _ in range(ROUNDS)], "/s", ">= 500")
    row("one array of 2,000", [_array(lab, token) * 1000 for _ in range(ROUNDS)], "ms", "< 500")


def _rate(lab: Lab, token: str, clients: int, each: int) -> float:
    began = monotonic()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda client: _client(lab, token, client, each), range(clients)))
    return clients * each / (monotonic() - began)


def _client(lab: Lab, token: str, client: int, count: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", lab.port)
    for number in range(count):
        spec = {
            "image": BUSYBOX,
            "gpus": "1",
            "name": f"b{client}-{number}",
            "command": ["train", str(number)],
        }
        _post(connection, token, {"spec": spec})
    connection.close()


def _array(lab: Lab, token: str) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", lab.port)
    began = monotonic()
    made = _post(
        connection, token, {"spec": {"image": BUSYBOX, "gpus": "1", "name": "array"}, "array": "0-1999"}
    )
    took = monotonic() - began
    connection.close()
    assert len(made["jobs"]) == 2000
    return took


def _post(connection: http.client.HTTPConnection, token: str, body: dict[str, object]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/jobs", json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 201, text
    made: dict[str, Any] = json.loads(text)
    return made
