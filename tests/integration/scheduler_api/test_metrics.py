"""`/metrics` of a real server: what it says, what promtool says of it, and what it says when parts are away."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import httpx
from builders import free_readings, make_job, make_node
from integration.scheduler_api.server_process import FakeAgent, Server, error_of, ran, submit
from support.need import need
from support.waiting import wait_for

from labq.clock import now
from labq.image import ImageOnNode
from labq.job import GpuHold
from labq.states import ACTIVE, FINAL, JobState
from labq.store import Store
from labq.usage import HOUR, UsageRow
from labq_scheduler.board import Board
from labq_scheduler.metrics.counts import JobCounts
from labq_scheduler.metrics.table import PARTS, TABLE

GOLDEN = Path(__file__).parent / "metrics.prom"


def page(server: Server, **headers: str) -> str:
    answer = httpx.get(f"{server.url}/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.text


def value(text: str, series: str) -> float | None:
    """Returns the value of a series as it is written, None when it is not there."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def promtool(text: str) -> None:
    need(shutil.which("promtool"), "promtool (Debian package prometheus)")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def settled(text: str) -> str:
    """Returns the page without what differs from run to run: times, sizes, the version."""
    text = re.sub(r"^([a-z_]+_timestamp_seconds(?:\{.*\})?) \S+", r"\1 TIME", text, flags=re.MULTILINE)
    text = re.sub(
        r"(_(?:seconds|seconds_sum|memory_used_bytes|data_free_bytes|data_size_bytes)(?:\{.*\})?) [\d.e+-]*\d$",
        r"\1 NUMBER",
        text,
        flags=re.M,
    )
    return re.sub(r'version="[^"]*"', 'version="V"', text)


def test_the_page_of_a_small_lab(own_server: Server) -> None:
    store = own_server.store
    node = make_node("n1", gpus=2, cpus=64.0)
    store.nodes.register(
        replace(node, gpus=(node.gpus[0], replace(node.gpus[1], fault="fell off the bus"))), now=now()
    )
    row = UsageRow(int(now()) // HOUR * HOUR, "n1", "e", "g", "A", "yuki", True, 9.0, 9.0)
    store.usage.write("n1", [row])
    own_server.flags = ("--only", "api")
    own_server.start()
    hiro, agent = own_server.person("hiro", admin=True), FakeAgent(store, own_server.data)
    hiro.put("/v1/users/hiro", json={"group": "vision", "slack_id": "U012AB3CD"})
    done, _waits = submit(hiro), submit(hiro)
    agent.run(done)
    agent.end(done, code=1)
    ran(own_server, hiro, node, GpuHold("n1-0"), ago=60.0)
    store.images.set("ref:a", "n1", ImageOnNode("ready", now()))
    wait_for(lambda: value(page(own_server), 'labq_images{state="ready"}') == 1, 10, "the last event")
    wait_for(lambda: "labq_records_last_write" in page(own_server), 10, "the records")
    wait_for(lambda: 'charged_gpu_seconds{user="yuki"}' in page(own_server), 30, "the ledger")
    store.nodes.heartbeat("n1", {}, now=now())
    wait_for(lambda: value(page(own_server), 'labq_node_up{node="n1"}') == 1, 10, "the node")
    text = page(own_server)
    promtool(text)
    assert settled(text) == GOLDEN.read_text()


def test_every_series_is_of_the_table_and_has_its_labels(server: Server) -> None:
    rows = {row.name: row for row in TABLE}
    for line in page(server).splitlines():
        if line.startswith("#"):
            continue
        name, labels = re.match(r"(\w+)(?:\{(.*)\})? ", line).groups()  # type: ignore[union-attr]
        row = rows.get(name) or rows[re.sub(r"_(bucket|count|sum)$", "", name)]
        said = set(re.findall(r'(\w+)="', labels or "")) - {"le"}
        assert said == set(row.labels), line


def test_the_deciding_loop_counts_its_turns(own_server: Server) -> None:
    node = make_node("n1", gpus=1)
    own_server.store.nodes.register(node, now=now(), readings=free_readings(node))
    own_server.start()
    submit(own_server.person())

    def prepared() -> bool:
        return value(page(own_server), 'labq_scheduler_decisions_total{outcome="prepared"}') == 1

    wait_for(prepared, 15, "an image to be prepared")
    text = page(own_server)
    promtool(text)
    assert value(text, "labq_scheduler_leader") == 1
    assert (value(text, 'labq_scheduler_decision_seconds_count{phase="decide"}') or 0) >= 1
    assert abs(now() - (value(text, "labq_scheduler_last_pass_timestamp_seconds") or 0)) < 5
    assert value(text, 'labq_node_up{node="n1"}') == 1
    assert value(text, 'labq_gpus_schedulable{node="n1"}') == 1


def test_a_gpu_that_is_held_in_or_outside_the_queue_or_ill_is_not_schedulable(
    server: Server, alice: httpx.Client
) -> None:
    node = make_node("four", gpus=4)
    server.store.nodes.register(
        replace(node, gpus=(*node.gpus[:3], replace(node.gpus[3], fault="x"))), now=now()
    )
    ran(server, alice, node, GpuHold("four-0"), ago=10.0)
    readings = free_readings(node)
    readings["gpus"]["four-1"] = {"holders": [{"user": "bob", "container": "web"}]}
    server.store.nodes.heartbeat("four", readings, now=now())

    def schedulable() -> bool:
        return value(page(server), 'labq_gpus_schedulable{node="four"}') == 1

    wait_for(schedulable, 10, "the lease and the reading to be seen")
    assert value(page(server), 'labq_gpus{node="four"}') == 4
    server.store.nodes.remove("four", now=now())


def test_a_node_that_an_admin_took_out_of_service_says_so_also_when_it_is_off(server: Server) -> None:
    server.store.nodes.register(make_node("workshop", gpus=1), now=now())
    wait_for(lambda: value(page(server), 'labq_node_drained{node="workshop"}') == 0, 10, "the node")
    server.store.nodes.set_drained("workshop", "new fan", now=now())
    server.store.nodes.set_lost("workshop", now=now())
    wait_for(lambda: value(page(server), 'labq_node_drained{node="workshop"}') == 1, 10, "it to be drained")
    server.store.nodes.remove("workshop", now=now())
    wait_for(lambda: "workshop" not in page(server), 10, "it to be gone")


def test_the_room_that_is_left_for_the_servers_files_is_said(server: Server) -> None:
    text, there = page(server), shutil.disk_usage(server.data)
    assert value(text, "labq_data_size_bytes") == there.total
    free = value(text, "labq_data_free_bytes") or 0
    assert 0 < free <= there.total
    assert abs(free - there.free) < 2**30


def test_what_nobody_was_told_of_is_counted_from_zero(own_server: Server) -> None:
    own_server.flags = ("--only", "api")
    own_server.start()
    for reason in ("old", "trimmed"):
        assert value(page(own_server), f'labq_notify_missed_total{{reason="{reason}"}}') == 0
    own_server.store.events.miss("old", 3)
    assert value(page(own_server), 'labq_notify_missed_total{reason="old"}') == 3


def test_openmetrics_is_spoken_to_who_asks_for_it(server: Server) -> None:
    answer = httpx.get(
        f"{server.url}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_a_token_is_asked_for_when_one_is_set_and_never_shown(own_server: Server) -> None:
    own_server.env["LABQ_METRICS_TOKEN"] = "s3cret-of-the-scraper"
    own_server.start()
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic s3cret-of-the-scraper"},
        {"Authorization": "Bearer ü"},
    ):
        answer = httpx.get(
            f"{own_server.url}/metrics",
            headers={key.encode(): text.encode() for key, text in headers.items()},
        )
        assert (answer.status_code, error_of(answer)["code"]) == (401, "no_token")
    assert "labq_build_info" in page(own_server, Authorization="Bearer s3cret-of-the-scraper")
    assert "s3cret" not in own_server.log.read_text()


def test_without_redis_the_page_says_so_and_the_rest_is_there(own_server: Server) -> None:
    own_server.start()
    wait_for(lambda: value(page(own_server), "labq_redis_up") == 1, 10, "Redis")
    own_server.redis.stop()
    wait_for(lambda: value(page(own_server), "labq_redis_up") == 0, 20, "the page to know")
    text = page(own_server)
    promtool(text)
    assert value(text, 'labq_scrape_part_success{part="nodes"}') == 0
    assert value(text, 'labq_scrape_part_success{part="scheduler"}') == 1
    assert "labq_node_up" not in text
    own_server.redis.start()
    wait_for(lambda: 'part="nodes"} 1' in page(own_server), 20, "the page to be whole again")


def test_a_redis_that_hangs_holds_no_page_up(own_server: Server) -> None:
    own_server.flags = ("--only", "api")
    own_server.start()
    redis_pid = own_server.redis.pid
    assert redis_pid is not None
    os.kill(redis_pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        text = page(own_server)
        took = time.monotonic() - began
    finally:
        os.kill(redis_pid, signal.SIGCONT)
    assert took < 2.5
    assert value(text, "labq_redis_up") == 0
    assert len(re.findall(r"^labq_scrape_part_success", text, re.MULTILINE)) == len(PARTS)


def test_ten_thousand_queued_jobs_cost_a_page_little(own_server: Server) -> None:
    own_server.flags = ("--only", "api")
    own_server.start()
    client = own_server.person("hiro")
    body = {"spec": {"image": "busybox"}, "array": "0-9999"}
    assert client.post("/v1/jobs", json=body).status_code == 201
    with httpx.Client() as scraper:
        url = f"{own_server.url}/metrics"

        def queued() -> float | None:
            return value(scraper.get(url).text, 'labq_jobs{state="queued",user="hiro"}')

        wait_for(lambda: queued() == 10_000, 20, "the jobs")
        times = []
        for _ in range(20):
            began = time.perf_counter()
            scraper.get(url)
            times.append(time.perf_counter() - began)
    assert sorted(times)[10] < 0.05, times


def test_incremental_counts_are_those_of_a_full_count(redis_url: str, tmp_path: Path) -> None:
    store = Store(redis_url)
    board = Board(store)
    counts = JobCounts(board)
    board.start()
    wait_for(lambda: board.loaded, 10, "the board")
    counts.by_state(0.0)  # counted when there was nothing; what follows comes from events
    agent, stop = FakeAgent(store, tmp_path), threading.Event()
    wrong: list[object] = []

    def recounts() -> None:
        at = 0.0
        while not stop.is_set():
            at += 31.0  # each time due for a recount, in the middle of events
            wrong.extend(key for key, count in counts.by_state(at).items() if count < 0)

    thread = threading.Thread(target=recounts)
    thread.start()
    try:
        for number in range(60):
            job = replace(make_job(retries=1), owner=f"u{number % 3}", submitted_at=now())
            made = store.jobs.submit(job, indices=range(2) if number % 10 == 0 else None, now=now())
            for job_id in made.jobs[: number % 3]:
                agent.run(job_id)
                if number % 4:
                    agent.end(job_id, code=number % 2)
    finally:
        stop.set()
        thread.join()
    assert board.wait_caught_up()
    full = Counter((job.state, job.owner) for job in board.jobs.values())
    kept = {key: count for key, count in counts.by_state(0.0).items() if count}
    assert kept == {key: count for key, count in full.items() if key[0] in ACTIVE}
    starts = sum(len(job.attempts) + (job.state is JobState.RUNNING) for job in board.jobs.values())
    assert counts.started == starts == counts.waits.read()[0][-1][1]
    ended = sum(count for key, count in full.items() if key[0] in FINAL)
    assert sum(counts.ends().values()) == ended
    assert wrong == []
    board.stop()
