"""The page over the network: who gets it, and that nobody can keep it from others."""

import base64
import contextlib
import http.client
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import bcrypt
import pytest
from support.exporter import RunningExporter
from support.need import need
from support.nvml import MockNvml, gpu_line
from support.waiting import wait_for

Make = Callable[..., RunningExporter]


def port(exporter: RunningExporter) -> int:
    found = urlsplit(exporter.url).port
    assert found
    return found


def took(exporter: RunningExporter) -> float:
    began = time.perf_counter()
    assert exporter.page().rows("labq_gpu_info")
    return time.perf_counter() - began


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/metrics", 200, "labq_gpu_info{"),
        ("/metrics?collect=x", 200, "labq_gpu_info{"),
        ("/healthz", 200, "ok\n"),
        ("/", 200, 'href="/metrics"'),
        ("/nowhere", 404, "look at /metrics"),
        ("/../etc/passwd", 404, "look at /metrics"),
    ],
)
def test_every_path_has_its_answer(exporter: RunningExporter, path: str, status: int, text: str) -> None:
    found = exporter.get(path)
    assert found[0] == status
    assert text in found[1]


def test_head_says_how_long_the_page_is_and_no_more(exporter: RunningExporter) -> None:
    line = http.client.HTTPConnection("127.0.0.1", port(exporter), timeout=5)
    with contextlib.closing(line):
        line.request("HEAD", "/metrics")
        answer = line.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        assert int(answer.headers["Content-Length"]) > 1000
        assert answer.headers["Content-Type"].startswith("text/plain; version=")


def test_what_is_no_get_is_refused(exporter: RunningExporter) -> None:
    line = http.client.HTTPConnection("127.0.0.1", port(exporter), timeout=5)
    with contextlib.closing(line):
        line.request("POST", "/metrics", b"x")
        assert line.getresponse().status == 501


@contextlib.contextmanager
def silent(exporter: RunningExporter, count: int, word: bytes = b"") -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        lines = []
        for _ in range(count):
            line = stack.enter_context(socket.create_connection(("127.0.0.1", port(exporter)), timeout=5))
            line.sendall(word)
            lines.append(line)
        yield lines


def test_a_hundred_silent_connections_keep_no_scrape_out(exporter: RunningExporter) -> None:
    with silent(exporter, 100):
        assert max(took(exporter) for _ in range(20)) < 1.0


def test_a_client_that_speaks_slowly_keeps_no_scrape_out(exporter: RunningExporter) -> None:
    with silent(exporter, 30, b"GET /met") as lines:
        for line in lines:
            with contextlib.suppress(OSError):
                line.sendall(b"r")
        assert max(took(exporter) for _ in range(20)) < 1.0


def test_a_client_that_does_not_read_keeps_no_scrape_out(exporter: RunningExporter) -> None:
    with silent(exporter, 30, b"GET /metrics HTTP/1.0\r\n\r\n"):
        assert max(took(exporter) for _ in range(20)) < 1.0


def test_connections_leave_no_thread_and_no_descriptor_behind(exporter: RunningExporter) -> None:
    def counts() -> tuple[int, int]:
        return len(os.listdir(f"/proc/{exporter.pid}/task")), len(os.listdir(f"/proc/{exporter.pid}/fd"))

    before = counts()
    with silent(exporter, 100):
        took(exporter)
    wait_for(
        lambda: all(now <= then for now, then in zip(counts(), before, strict=True)), 15, "all to be closed"
    )


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with certificates: a CA, a server's, a client's, and a stranger's."""
    folder = tmp_path_factory.mktemp("papers")
    need(subprocess.run(["which", "openssl"], capture_output=True, check=False).returncode == 0, "openssl")

    def openssl(*arguments: str) -> None:
        done = subprocess.run(
            ["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    for ca in ("ca", "other"):
        openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{ca}.key", "-out", f"{ca}.crt",
            "-subj", f"/CN={ca}", "-days", "2",
        )  # fmt: skip
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    for name, ca in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
        openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
            "-subj", f"/CN={name}",
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.crt", "-CAkey", f"{ca}.key",
            "-CAcreateserial", "-out", f"{name}.crt", "-days", "2", "-extfile", "san",
        )  # fmt: skip
    return folder


def ask(
    exporter: RunningExporter,
    papers: Path,
    *,
    client: str = "",
    password: str | None = None,
    path: str = "/metrics",
) -> tuple[int, str]:
    context = ssl.create_default_context(cafile=str(papers / "ca.crt"))
    if client:
        context.load_cert_chain(papers / f"{client}.crt", papers / f"{client}.key")
    line = http.client.HTTPSConnection("127.0.0.1", port(exporter), timeout=10, context=context)
    header = {}
    if password is not None:
        header["Authorization"] = "Basic " + base64.b64encode(f"prometheus:{password}".encode()).decode()
    with contextlib.closing(line):
        line.request("GET", path, headers=header)
        answer = line.getresponse()
        return answer.status, answer.read().decode()


@pytest.fixture
def secured(
    exporters: Make, mock_nvml: MockNvml, papers: Path, tmp_path: Path
) -> Callable[[str], RunningExporter]:
    """Starts an exporter with TLS and these lines of web config beside it."""

    def start(more: str) -> RunningExporter:
        mock_nvml.write("driver 580.95.05", gpu_line(0))
        (papers / "web.yml").write_text(
            f"tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{more}"
        )
        return exporters(LABQ_EXPORTER_WEB_CONFIG=str(papers / "web.yml")).start()

    return start


def test_over_tls_with_a_password(secured: Callable[[str], RunningExporter], papers: Path) -> None:
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode()
    exporter = secured(f"basic_auth_users:\n  prometheus: {hashed}\n")
    assert exporter.url.startswith("https://")
    wait_for(lambda: "labq_gpu_up{" in ask(exporter, papers, password="right")[1], 10, "a GPU on the page")
    assert ask(exporter, papers, password="wrong") == (401, "name and password, please\n")
    assert ask(exporter, papers)[0] == 401
    assert ask(exporter, papers, path="/")[0] == 401
    # Whoever watches the service needs no password for that.
    assert ask(exporter, papers, path="/healthz")[0] == 200
    assert "right" not in exporter.tail()
    assert hashed not in exporter.tail()


def test_a_plain_client_and_silent_ones_keep_no_scrape_out_over_tls(
    secured: Callable[[str], RunningExporter], papers: Path
) -> None:
    exporter = secured("")
    with silent(exporter, 60), silent(exporter, 20, b"GET /metrics HTTP/1.0\r\n\r\n"):
        began = time.perf_counter()
        assert ask(exporter, papers)[0] == 200
        assert time.perf_counter() - began < 2.0


def test_with_a_ca_for_clients_only_its_clients_are_let_in(
    secured: Callable[[str], RunningExporter], papers: Path
) -> None:
    exporter = secured("  client_ca_file: ca.crt\n")
    assert ask(exporter, papers, client="client")[0] == 200
    for client in ("", "stranger"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(exporter, papers, client=client)
