"""Whoever dies, the others go on: client, proxy, engine."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from integration.stamping.proxy import DOCKER, LABEL, Proxy
from support.engine import BUSYBOX
from support.people import People
from support.waiting import wait_for


def descriptors(proxy: Proxy) -> int:
    return len(list(Path(f"/proc/{proxy.pid}/fd").iterdir()))


def at_rest(proxy: Proxy) -> int:
    """The proxy's descriptors when nobody is connected: a client's last line closes after the client has ended."""
    held = f" {proxy.path}"

    def nobody() -> bool:
        lines = Path("/proc/net/unix").read_text().splitlines()
        # Num RefCount Protocol Flags Type St Inode Path; St 03 is connected (proc_net_unix(5)).
        return not any(line.endswith(held) and line.split()[5] == "03" for line in lines)

    before = -1

    def still() -> bool:
        nonlocal before
        last, before = before, descriptors(proxy)
        return nobody() and before == last

    wait_for(still, 10, "the proxy to be at rest", interval=0.2)
    return before


def test_a_client_that_is_killed_leaves_nothing_behind(proxy: Proxy) -> None:
    proxy.docker("version")
    idle = at_rest(proxy)
    container = proxy.run("sleep", "60", options=("-i",))
    streams = [
        proxy.popen("events"), proxy.popen("logs", "-f", container), proxy.popen("attach", container),
        proxy.popen("exec", "-i", container, "cat"), proxy.popen("wait", container),
    ]  # fmt: skip
    wait_for(lambda: descriptors(proxy) >= idle + 10, 20, "five streams")
    for stream in streams:
        stream.kill()
        stream.communicate()
    wait_for(lambda: descriptors(proxy) <= idle, 10, "the streams to end on both sides")
    assert proxy.engine.client.api.inspect_container(container)["State"]["Running"]


def test_a_client_that_dies_while_its_next_words_are_held_back_is_noticed(proxy: Proxy) -> None:
    container = proxy.run("sleep", "60")
    proxy.docker("version")
    idle = at_rest(proxy)
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(proxy.path))
        # An old API version says nothing until the container ends; what follows must wait for its answer.
        line.sendall(
            f"POST /v1.29/containers/{container}/wait HTTP/1.1\r\nHost: d\r\n\r\n".encode() + b"early"
        )
        wait_for(lambda: descriptors(proxy) == idle + 2, 10, "the connection to the engine")
    wait_for(lambda: descriptors(proxy) == idle, 10, "both sides to be closed")


def test_the_engine_restarts_under_it_and_the_next_request_works(proxy: Proxy, people: People) -> None:
    events = proxy.popen("events")
    container = proxy.run("sleep", "60")
    client = proxy.client()
    try:
        assert client.api.ping()
        proxy.engine.restart()
        assert events.communicate(timeout=20) is not None
        # The SDK's kept connection has ended; it opens another by itself.
        assert client.api.inspect_container(container)["State"]["Running"]
    finally:
        client.close()
    assert proxy.labels(proxy.run("true", person=people.alice))["io.labq.owner"] == people.alice.name


def test_without_an_engine_people_read_what_is_wrong(proxy: Proxy) -> None:
    proxy.engine.stop()
    said = proxy.docker("ps", status=1)
    assert "labq-docker-stamp: no engine at" in said
    proxy.engine.start()
    assert "CONTAINER ID" in proxy.docker("ps")


def test_a_killed_proxy_takes_no_container_and_no_engine_with_it(proxy: Proxy, people: People) -> None:
    engine = proxy.engine.pid
    attached = proxy.popen(
        "run", "-i", "--network=none", *LABEL, "--name", "labq-stamp-on", BUSYBOX, "cat", person=people.alice
    )
    wait_for(lambda: "labq-stamp-on" in proxy.engine.docker("ps"), 20, "the container")
    proxy.end(signal.SIGKILL)
    assert attached.communicate(timeout=20) is not None
    assert proxy.engine.pid == engine
    # Without the proxy, the engine's own socket is as good as ever: going back is unsetting a variable.
    assert "labq-stamp-on" in proxy.engine.docker("ps", "-a")
    key = proxy.key.read_bytes()
    proxy.start()
    wait_for(lambda: proxy.docker("version"), 10, "the proxy to answer again")
    assert proxy.key.read_bytes() == key


def test_at_sigterm_streams_get_their_grace_and_the_rest_is_cut(proxy: Proxy) -> None:
    events = proxy.popen("events")
    wait_for(lambda: descriptors(proxy) > 8, 10, "the stream")
    wait_for(lambda: proxy.docker("version"), 10, "an answer")
    began = time.monotonic()
    assert proxy.end() == 0
    assert 0.8 < time.monotonic() - began < 5
    events.communicate(timeout=10)
    assert "connections have 1 s to end" in proxy.log


def test_systemd_hands_it_the_socket_and_loses_no_client_over_a_restart(proxy: Proxy, tmp_path: Path) -> None:
    proxy.end()
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        os.set_inheritable(listener.fileno(), True)
        # What systemd does (sd_listen_fds(3)): descriptor 3, and its number and the pid in the environment.
        program = (
            f"import os, sys; os.dup2({listener.fileno()}, 3); os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
            "os.execv(sys.executable, [sys.executable, '-m', 'labq_exporter.stamping', *sys.argv[1:]])"
        )
        command = [
            sys.executable,
            "-c",
            program,
            "--engine",
            proxy.engine_path,
            "--key",
            str(proxy.key),
            "--grace",
            "1",
        ]
        for _ in range(2):
            # It connects before anybody serves.
            client = subprocess.Popen(
                [DOCKER, "-H", f"unix://{path}", "ps"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            served = subprocess.Popen(command, close_fds=False, stderr=subprocess.PIPE)
            out, _ = client.communicate(timeout=20)
            assert b"CONTAINER ID" in out
            served.terminate()
            _, said = served.communicate(timeout=10)
            assert served.returncode == 0, said
