"""Whose name is on a container that came through the proxy; the engine, asked directly, says so."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from integration.stamping.proxy import LABEL, Proxy
from support.engine import BUSYBOX
from support.people import People

from labq.holding.seal import read_key, verify

OWNER, STAMP = "io.labq.owner", "io.labq.stamp"


def sealed(proxy: Proxy, container: str) -> str:
    """The owner on a container, whose seal must hold; "" = no owner and no seal."""
    labels = proxy.labels(container)
    assert labels["labq.test"] == "stamping"
    if STAMP not in labels:
        return labels.get(OWNER, "")
    assert verify(read_key(proxy.key), labels[STAMP], labels[OWNER]), labels
    return labels[OWNER]


def test_each_person_is_named_on_what_they_start(proxy: Proxy, people: People) -> None:
    for person in (people.alice, people.bob):
        assert sealed(proxy, proxy.run("sleep", "60", person=person)) == person.name
    assert f"stamped container '' for {people.alice.name}" in proxy.log


def test_a_forged_owner_and_stamp_are_overwritten_and_labqs_labels_left(proxy: Proxy, people: People) -> None:
    options = (
        "--label",
        f"{OWNER}=boss",
        "--label",
        f"{STAMP}=v1:0:0",
        "--label",
        "labq.job=j1",
        "--label",
        "a=b c",
    )
    container = proxy.run("sleep", "60", person=people.alice, options=options)
    assert sealed(proxy, container) == people.alice.name
    labels = proxy.labels(container)
    assert (labels["labq.job"], labels["a"]) == ("j1", "b c")


def test_an_owner_that_came_with_an_image_is_overwritten(proxy: Proxy, people: People) -> None:
    theirs = proxy.run("sleep", "60", person=people.alice)
    proxy.docker("commit", theirs, "labq-test/stamped")
    container = proxy.docker(
        "run", "-d", "--network=none", *LABEL, "labq-test/stamped", "sleep", "60", person=people.bob
    ).strip()
    assert sealed(proxy, container) == people.bob.name
    proxy.engine.docker("rm", "-f", container)
    proxy.engine.docker("rmi", "labq-test/stamped")


def test_root_is_the_person_who_logged_in_where_there_is_one(proxy: Proxy, people: People) -> None:
    assert sealed(proxy, proxy.run("sleep", "60", person=people.bob, sudo=True)) == people.bob.name


def test_a_service_of_root_is_nobody_and_its_word_on_the_owner_stands(proxy: Proxy) -> None:
    options = ("--label", f"{OWNER}=carol", "--label", f"{STAMP}=v1:0:0")
    assert proxy.labels(proxy.run("sleep", "60", options=options))[OWNER] == "carol"
    assert STAMP not in proxy.labels(proxy.run("sleep", "60", options=options))
    assert OWNER not in proxy.labels(proxy.run("sleep", "60"))
    assert "not stamped (uid 0" in proxy.log


def test_a_caller_in_a_container_is_not_taken_for_the_person_with_its_uid(
    proxy: Proxy, people: People
) -> None:
    # As a dev container does it: the socket mounted, a uid that means somebody else here.
    body = f'{{"Image":"{BUSYBOX}","Labels":{{"labq.test":"stamping"}}}}'
    head = "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json"
    request = f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    program = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('/d.sock'); s.sendall(sys.stdin.buffer.read()); print(s.recv(99))"
    said = proxy.docker(
        "run", "--rm", "-i", "--network=none", *LABEL, "-u", f"{people.alice.uid}:0", "-v", f"{proxy.path}:/d.sock",
        "python:3.11-slim", "python3", "-c", program, person=people.bob, feed=request.encode(),
    )  # fmt: skip
    assert "201 Created" in said
    assert "it runs in a container" in proxy.log
    made = proxy.engine.client.api.containers(all=True, filters={"label": "labq.test=stamping"})
    assert [found["Labels"].get(OWNER) for found in made] == [None]


def test_a_hundred_creates_at_once_are_each_their_own_persons(proxy: Proxy, people: People) -> None:
    program = (
        "import sys, docker\n"
        "api = docker.APIClient(base_url=sys.argv[1], version='1.41', timeout=60)\n"
        f"for i in range(10): print(api.create_container({BUSYBOX!r}, 'true', labels={{'labq.test': 'stamping'}})['Id'])\n"
    )

    def create(at: int) -> tuple[str, list[str]]:
        person = (people.alice, people.bob)[at % 2]
        made = subprocess.run(
            [sys.executable, "-c", program, proxy.host],
            user=person.uid, extra_groups=[], capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        return person.name, made.stdout.split()

    with ThreadPoolExecutor(10) as pool:
        made = list(pool.map(create, range(10)))
    assert sum(len(ids) for _, ids in made) == 100
    assert all(sealed(proxy, container) == name for name, ids in made for container in ids)
    stamps = [proxy.labels(container)[STAMP] for _, ids in made for container in ids]
    assert len(set(stamps)) == 100
