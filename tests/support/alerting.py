"""A real Prometheus and a real Alertmanager with our rules and routes, and the Slack that they write to.

Our files are copied and changed in these places only (`hasten`): durations of `for:`, of groups and of scrapes become
short; ports and addresses become the test's own. Everything else is what a lab gets.
"""

import json
import re
import shutil
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from support.daemon import Daemon
from support.need import need
from support.prometheus import OPENER, unused_port
from support.waiting import wait_for

DASHBOARDS = Path(__file__).parents[2] / "dashboards"
TOKEN = "xoxb-of-the-tests"


class _Server:
    """An HTTP server on loopback, in a thread."""

    def __init__(self, handle: Callable[[BaseHTTPRequestHandler, bytes], tuple[int, str, bytes]], host: str = "127.0.0.1",
                 port: int = 0) -> None:  # fmt: skip
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, kind, answer = handle(self, body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer((host, port), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass
class Slack:
    """What arrived at chat.postMessage; only the right token is believed."""

    posts: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def handle(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, str, bytes]:
        if request.path != "/api/chat.postMessage" or request.headers["Authorization"] != f"Bearer {TOKEN}":
            # Slack says so with 200, too.
            self.refused.append(request.path)
            return 200, "application/json", b'{"ok":false,"error":"invalid_auth"}'
        self.posts.append(json.loads(body))
        return 200, "application/json", b'{"ok":true,"channel":"C1","ts":"1.1"}'

    def to(self, channel: str) -> list[dict[str, Any]]:
        """The attachments that went to a channel or person, oldest first."""
        return [post["attachments"][0] for post in list(self.posts) if post["channel"] == channel]


class Target:
    """Something that Prometheus scrapes; `page` is what it says, and it may die and come back at its port."""

    def __init__(self, page: str = "") -> None:
        self.page = page
        self.heard: list[bytes] = []
        self._server: _Server | None = None
        self.port = 0
        self.revive()

    def revive(self) -> None:
        if self._server is None:
            self._server = _Server(self._answer, port=self.port)
            self.port = self._server.port

    def _answer(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, str, bytes]:
        if request.command == "POST":
            self.heard.append(body)
        return 200, "text/plain; version=0.0.4", self.page.encode()

    def die(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


def hasten(text: str, changes: Mapping[str, str]) -> str:
    """Replace by regular expression; each must be found, or the file is not what the test believes."""
    for old, new in changes.items():
        text, found = re.subn(old, new, text)
        assert found, f"{old!r} is not there any more"
    return text


@dataclass
class Watching:
    """The two programs, running."""

    folder: Path
    prometheus: str
    alertmanager: str
    slack: Slack
    logs: Callable[[], str]

    def alerts(self) -> list[dict[str, Any]]:
        """What Alertmanager knows now, with the state of each ("active" or "suppressed")."""
        with OPENER.open(f"{self.alertmanager}/api/v2/alerts", timeout=5) as answer:
            return list(json.load(answer))

    def state(self, name: str, **labels: str) -> str:
        """Return "active" or "suppressed"; "" when there is no such alert."""
        for alert in self.alerts():
            if alert["labels"]["alertname"] == name and labels.items() <= alert["labels"].items():
                return str(alert["status"]["state"])
        return ""

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        asked = urllib.parse.urlencode({"query": expression})
        with OPENER.open(f"{self.prometheus}/api/v1/query?{asked}", timeout=10) as answer:
            return list(json.load(answer)["data"]["result"])

    def rules(self) -> list[dict[str, Any]]:
        """How Prometheus fared with each rule."""
        with OPENER.open(f"{self.prometheus}/api/v1/rules", timeout=5) as answer:
            return [rule for group in json.load(answer)["data"]["groups"] for rule in group["rules"]]

    def tell(self, *alerts: Mapping[str, Any]) -> None:
        """Give Alertmanager alerts as Prometheus does."""
        request = urllib.request.Request(  # noqa: S310 - it is our own
            f"{self.alertmanager}/api/v2/alerts",
            data=json.dumps(alerts).encode(),
            headers={"Content-Type": "application/json"},
        )
        with OPENER.open(request, timeout=5) as answer:
            assert answer.status == 200


@contextmanager
def watching(
    folder: Path,
    *,
    nodes: list[dict[str, Any]],
    server: int,
    rules: Mapping[str, str] | None = None,
    routes: Mapping[str, str] | None = None,
    scrapes: Mapping[str, str] | None = None,
) -> Iterator[Watching]:
    """Run Prometheus and Alertmanager on copies of our files until the end of the block.

    Args:
        folder: a new one; everything is in there.
        nodes: target groups, as labq's server writes them.
        server: port of what plays labq's server.
        rules: changes (pattern -> text) of files of rules.
        routes: more changes of alertmanager.yml.
        scrapes: more changes of prometheus.yml.
    """
    for program in ("prometheus", "prometheus-alertmanager"):
        need(shutil.which(program), f"{program} (apt-get install {program})")
    slack = Slack()
    api = _Server(slack.handle)
    ports = unused_port(), unused_port()
    shutil.copytree(DASHBOARDS, folder, ignore=shutil.ignore_patterns("grafana", "tests", "README.md"))
    _write(folder, nodes, server, ports, api.port, rules or {}, routes or {}, scrapes or {})
    prometheus = Daemon("prometheus", folder)
    alertmanager = Daemon("alertmanager", folder)
    urls = [f"http://127.0.0.1:{port}" for port in ports]

    def logs() -> str:
        return prometheus.tail() + "\n" + alertmanager.tail()

    try:
        alertmanager.start([
            "prometheus-alertmanager", f"--config.file={folder}/alertmanager/alertmanager.yml",
            f"--storage.path={folder}/am", f"--web.listen-address=127.0.0.1:{ports[1]}", "--cluster.listen-address=",
        ])  # fmt: skip
        prometheus.start([
            "prometheus", f"--config.file={folder}/prometheus/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{ports[0]}", "--rules.alert.resend-delay=1s",
        ])  # fmt: skip
        for url in urls:
            wait_for(lambda url=url: _ready(url), 30, f"{url} to be ready", hint=logs)  # type: ignore[misc]
        yield Watching(folder, urls[0], urls[1], slack, logs)
    finally:
        prometheus.end()
        alertmanager.end()
        api.close()


def _ready(url: str) -> bool:
    with OPENER.open(f"{url}/-/ready", timeout=2) as answer:
        return bool(answer.status == 200)


def _write(
    folder: Path, nodes: list[dict[str, Any]], server: int, ports: tuple[int, int], slack: int,
    rules: Mapping[str, str], routes: Mapping[str, str], scrapes: Mapping[str, str],
) -> None:  # fmt: skip
    (folder / "prometheus" / "targets").mkdir()
    (folder / "prometheus" / "targets" / "nodes.json").write_text(json.dumps(nodes))
    for secret, text in (
        ("prometheus/secrets/labq-metrics-token", ""),
        ("alertmanager/secrets/slack-token", TOKEN),
    ):
        (folder / secret).parent.mkdir(exist_ok=True)
        (folder / secret).write_text(f"{text}\n")
    _edit(folder / "prometheus" / "prometheus.yml", {
        r"scrape_interval: 15s": "scrape_interval: 500ms", r"scrape_timeout: 10s": "scrape_timeout: 400ms",
        r"evaluation_interval: 15s": "evaluation_interval: 500ms", "scheduler:7580": f"127.0.0.1:{server}",
        "localhost:9090": f"127.0.0.1:{ports[0]}", "alertmanager:9093": f"127.0.0.1:{ports[1]}",
    } | dict(scrapes))  # fmt: skip
    texts = {path: path.read_text() for path in (folder / "prometheus" / "rules").glob("*.yml")}
    changes = {r"( +for:) \w+": r"\1 1s", r"keep_firing_for: \w+": "keep_firing_for: 8s",
               r"( +interval:) \w+": r"\1 1s", **rules}  # fmt: skip
    assert all(any(re.search(old, text) for text in texts.values()) for old in changes), changes
    for path, text in texts.items():
        for old, new in changes.items():
            text = re.sub(old, new, text)
        path.write_text(text)
    _edit(folder / "alertmanager" / "alertmanager.yml", {
        "https://slack.com": f"http://127.0.0.1:{slack}", r"group_wait: \w+": "group_wait: 1s",
        r"group_interval: \w+": "group_interval: 1s", r"mute_time_intervals: \[quiet\]": "mute_time_intervals: []",
    } | dict(routes))  # fmt: skip


def _edit(path: Path, changes: Mapping[str, str]) -> None:
    path.write_text(hasten(path.read_text(), changes))
