"""What a server and a node_exporter would say: pages that a small HTTP server gives out, whose counters go on."""

import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from labq.clock import now
from support.grafana import REPO
from support.nvml import gpu_uuid
from support.people import People

#: The server's page as its own test has it, from a real server.
GOLDEN = REPO / "tests" / "integration" / "scheduler_api" / "metrics.prom"
#: What that server has none of, since it runs no loop.
LOOP = """
labq_scheduler_leader 1
labq_scheduler_last_pass_timestamp_seconds {time}
labq_scheduler_decisions_total{{outcome="started"}} {n}
labq_scheduler_decision_seconds_bucket{{phase="decide",le="0.1"}} {n}
labq_scheduler_decision_seconds_bucket{{phase="decide",le="+Inf"}} {n}
labq_scheduler_decision_seconds_bucket{{phase="apply",le="0.1"}} {n}
labq_scheduler_decision_seconds_bucket{{phase="apply",le="+Inf"}} {n}
"""
NODE_EXPORTER = """
node_filesystem_size_bytes{{device="/dev/sda1",fstype="ext4",mountpoint="/"}} 1000000000
node_filesystem_avail_bytes{{device="/dev/sda1",fstype="ext4",mountpoint="/"}} {left}
node_filesystem_size_bytes{{device="tmpfs",fstype="tmpfs",mountpoint="/run"}} 1000
node_filesystem_avail_bytes{{device="tmpfs",fstype="tmpfs",mountpoint="/run"}} 0
node_memory_MemTotal_bytes 64000000000
node_memory_MemAvailable_bytes 16000000000
node_load5 1.5
node_cpu_seconds_total{{cpu="0",mode="idle"}} {n}
node_cpu_seconds_total{{cpu="0",mode="user"}} 5
node_cpu_seconds_total{{cpu="1",mode="idle"}} {n}
"""


class Said:
    """The two pages; `waiting` names people who have a job in the queue and none that runs."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._count = 0
        self.trouble = False

    def server(self) -> str:
        """The page of labq's server."""
        self._count += 1
        alice, bob = self._people.alice.name, self._people.bob.name
        text = GOLDEN.read_text().replace("hiro", alice).replace("yuki", bob).replace("n1-0", gpu_uuid(0))
        text = (
            text.replace('version="V"', 'version="1"').replace("TIME", str(now())).replace("NUMBER", "7200")
        )
        if not self.trouble:
            # Nobody waits, nothing begins and nothing ends.
            text = re.sub(r'(labq_jobs\{state="queued".*) 1.0', r"\1 0.0", text)
            return text + LOOP.format(time=now(), n=self._count)
        text = re.sub(
            r"^(labq_jobs?_\S*(?:_total|_bucket|_count)(?:\{.*\})?) ([0-9.]+)$",
            lambda found: f"{found[1]} {float(found[2]) + self._count}",
            text,
            flags=re.MULTILINE,
        )
        return text + f'labq_jobs{{state="queued",user="{bob}"}} 2\n' + LOOP.format(time=now(), n=self._count)

    def machine(self) -> str:
        """The page of a node_exporter, whose disk fills up in times of trouble."""
        left = 200_000_000 - (1000 * self._count if self.trouble else 0)
        return NODE_EXPORTER.format(n=self._count, left=left)


class Giver:
    """An HTTP server on loopback with one page."""

    def __init__(self, page: Callable[[], str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = page().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.target = f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
