"""A lab of two machines that is watched, from a job that ends and a machine that dies to what people read in Slack.

Real: Prometheus and Alertmanager with our rules and routes, server, agents, containers, exporters (on a fake NVML),
node_exporter, notifier. Played: Slack's servers, twice: one hears Alertmanager, the other the notifier.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.alerting import Watching, watching
from support.engine import BUSYBOX
from support.grafana import asked, filled
from support.lab_fixtures import MakeLab
from support.nvml import MockNvml, gpu_line, gpu_uuid
from support.people import People, people
from support.prometheus import unused_port
from support.slack import APP, BOT, Behaviour, SlackServer
from support.waiting import wait_for
from support.watched_node import WatchedNode
from support.watched_people import SLACK_ID, Watched

__all__ = ["people"]
SMALL = ("--image", BUSYBOX, "--cpus", "0.1", "--memory", "32MB")
#: Half an hour becomes ten seconds, and whoever held a GPU in half of them counts; what is true for 3 s is told.
RULES = {r"\[30m\]": "[10s]", r"0\.9 \* 1800": "0.5 * 10", r"( +for:) \w+": r"\1 3s", r"> 90\n": "> 12\n"}


@pytest.fixture
def nodes(mock_nvml: MockNvml, tmp_path: Path) -> tuple[MockNvml, MockNvml]:
    """The GPUs of two machines."""
    mock_nvml.write("driver 580.95.05", gpu_line(0), gpu_line(1))
    second = MockNvml(mock_nvml.library_dir, tmp_path / "n2.state")
    second.write("driver 580.95.05", gpu_line(10))
    return mock_nvml, second


@pytest.fixture
def watched(
    make_lab: MakeLab, nodes: tuple[MockNvml, MockNvml], people: People, slack: SlackServer, tmp_path: Path
) -> Iterator[tuple[Watched, Watching, WatchedNode]]:
    """All of it, up; two machines are known to Prometheus by the file that the server writes."""
    ports = unused_port(), unused_port()
    one, two = nodes
    settings = {
        "LD_LIBRARY_PATH": one.env()["LD_LIBRARY_PATH"], "LABQ_MOCK_NVML": str(one.state),
        "LABQ_SLACK_BOT_TOKEN": BOT, "LABQ_SLACK_APP_TOKEN": APP, "LABQ_SLACK_API_URL": slack.url,
        "LABQ_TARGETS_DIR": str(tmp_path / "targets"), "LABQ_EXPORTER_PORT": str(ports[0]), "LABQ_NODE": "n1",
        "LABQ_NODE_ADDRESS": "127.0.0.2", "LABQ_NODE_GRACE": "6s", "LABQ_STAMP_KEY": str(tmp_path / "stamp.key"),
    }  # fmt: skip
    lab = make_lab("auto", settings)
    n2 = {
        "LABQ_MOCK_NVML": str(two.state), "LABQ_NODE_ADDRESS": "127.0.0.3",
        "LABQ_RUN_DIR": str(tmp_path / "n2-run"), "LABQ_NODE": "n2",
    }  # fmt: skip
    lab.start_agent("n2", "auto", **n2)
    made = Watched(lab, people, slack, n2)
    machines = (
        WatchedNode(one, tmp_path / "n1", "127.0.0.2", ports, lab.env()),
        WatchedNode(two, tmp_path / "n2", "127.0.0.3", ports, lab.env(**n2)),
    )
    scrapes = {
        r"files: \[targets/nodes.json\]": f"files: [{tmp_path}/targets/nodes.json]",
        r'replacement: "9100"': f'replacement: "{ports[1]}"',
    }
    try:
        for who in ("alice", "bob"):
            made.admit(who)
        for machine in machines:
            machine.start()
        with watching(tmp_path / "watch", nodes=[], server=lab.port, rules=RULES, scrapes=scrapes) as running:
            yield made, running, machines[1]
    finally:
        for machine in machines:
            machine.kill9()
        made.store.connection.client.close()


def titles(running: Watching, channel: str, node: str) -> list[str]:
    """What was said to a channel of a node."""
    return [post["title"] for post in running.slack.to(channel) if node in post["title"]]


def idle_outside_the_queue(made: Watched, nvml: MockNvml) -> None:
    """Bob takes GPU 1 of n1 by hand, and lets it idle."""
    home = f"{made.accounts['bob'].home}:/data"
    engine = made.lab.engine
    options = ("--label", "labq.test=1", "--network", "none", "--name", "labqt-idle", "-v", home)
    container = engine.docker("run", "-d", *options, BUSYBOX, "sleep", "600").split()[-1]
    pid = engine.client.api.inspect_container(container)["State"]["Pid"]
    used = 2 * 2**30
    nvml.write("driver 580.95.05", gpu_line(0), gpu_line(1, used=used), f"proc 1 {pid} {used}")


def who_uses_which_gpu(made: Watched, running: Watching) -> None:
    """The first page of Grafana, asked as Grafana asks."""
    job = made.submit("alice", "mine", *SMALL, "--node", "n1", "--gpus", "1", "--", "sleep", "600")
    assert made.wait(job, "running")["gpus"] == [gpu_uuid(0)]
    expression = next(filled(one.expr) for one in asked() if one.place == "Every GPU/A")
    alice, bob = (made.accounts[who].name for who in ("alice", "bob"))
    wanted = {
        ("n1", "0", alice, f"job {job}"),
        ("n1", "1", bob, "labqt-idle"),
        ("n2", "0", "", ""),
    }

    def answer() -> set[tuple[str, ...]]:
        rows = [row["metric"] for row in running.query(expression)]
        return {tuple(row.get(key, "") for key in ("node", "gpu", "user", "what")) for row in rows}

    wait_for(
        lambda: answer() == wanted, 40, "who uses which GPU", interval=0.3,
        hint=lambda: f"{answer()}\n{running.logs()}",
    )  # fmt: skip


def jobs_end_in_each_way(made: Watched, folder: Path) -> None:
    """Slack hangs on the first message, which it took, and the notifier is killed; all is told once all the same."""
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {BUSYBOX}\nRUN echo about to fail; exit 7\n")
    made.slack.next("chat.postMessage", Behaviour(done=True, hangs=True))
    stopped = made.submit("bob", "stopped", *SMALL, "--", "sleep", "600")
    code = made.submit(
        "alice", "code", *SMALL, "--", "sh", "-c", "sleep 1; echo '<!here> last words'; exit 3"
    )
    made.submit("bob", "after", *SMALL, "--after", code, "--", "true")
    made.slack.wait_hanging(60)
    made.kill_notifier()
    made.submit("alice", "good", *SMALL, "--", "true")
    made.submit("alice", "memory", "--image", BUSYBOX, "--memory", "16MB", "--", "sh", "-c", "tail /dev/zero")
    made.submit("alice", "late", *SMALL, "--time", "1s", "--grace", "1s", "--", "sleep", "600")
    made.submit("alice", "missing", *SMALL, "--", "/no/such/command")
    made.submit("bob", "image", str(folder))
    made.wait(stopped, "running")
    made.lab.labq("cancel", stopped)
    alice, bob = made.settled("alice", 5), made.settled("bob", 3)
    headlines = {
        name: text.partition("\n")[0].partition(f"{name} ")[2] for name, text in {**alice, **bob}.items()
    }
    failed = dict.fromkeys(("code", "memory", "late", "missing", "after", "image"), "failed")
    assert headlines == failed | {"good": "succeeded", "stopped": "was cancelled"}
    admin = next(user["name"] for user in made.lab.json("user", "ls") if user["admin"])
    assert "exit code 3" in alice["code"]
    assert "&lt;!here&gt; last words" in alice["code"]
    assert "out of memory" in alice["memory"]
    assert "its limit of 16MB" in alice["memory"]
    assert "its time limit of 1s passed" in alice["late"]
    assert "its command cannot be run in this image" in alice["missing"]
    assert "Succeeded after" in alice["good"]
    assert f"Cancelled by {admin} after" in bob["stopped"]
    assert "exit 7" in bob["image"]
    assert f"job {code}" in bob["after"]


def a_node_dies_and_comes_back(made: Watched, running: Watching, machine: WatchedNode) -> None:
    """Its job is requeued and told of once, though the notifier dies with it; the admins read of the node, and no more."""
    lost = made.submit(
        "bob", "lost", *SMALL, "--node", "n2", "--gpus", "1", "--retries", "1", "--", "sleep", "600"
    )
    assert made.wait(lost, "running")["gpus"] == [gpu_uuid(10)]
    machine.nvml.write("driver 580.95.05", gpu_line(10).replace(" 50 ", " 99 "))  # °C
    hint = lambda: f"{running.slack.posts}\n{running.alerts()}\n{running.logs()}"  # noqa: E731
    said = ["GPU 0 of n2 is too hot"]
    wait_for(lambda: titles(running, "#gpu-admin", "n2") == said, 30, "the hot GPU to be told", hint=hint)
    made.slack.next("chat.postMessage", Behaviour(hangs=True))
    made.lab.kill9("n2")
    machine.kill9()
    said.append("n2 is down")
    wait_for(lambda: titles(running, "#gpu-admin", "n2")[1:], 30, "the message", hint=hint)
    wait_for(
        lambda: running.state("LabqGpuHot", node="n2") == "suppressed",
        10,
        "its GPU to be silenced",
        hint=hint,
    )
    wait_for(
        lambda: running.state("LabqWorkerStale", node="n2") == "suppressed", 40, "its agent, too", hint=hint
    )
    wait_for(lambda: not running.state("LabqGpuHot", node="n2"), 30, "its GPU to be forgotten", hint=hint)
    # Nobody was told that a GPU of which nothing is known has cooled down.
    assert titles(running, "#gpu-admin", "n2") == said
    made.slack.wait_hanging(60)
    made.kill_notifier()
    assert "lost its node and waits again" in made.settled("bob", 4)["lost"]
    machine.nvml.write("driver 580.95.05", gpu_line(10))
    made.lab.start_agent("n2", "auto", **made.n2)
    machine.start()
    end, cooled = "Resolved: n2 is down", "Resolved: GPU 0 of n2 is too hot"
    wait_for(lambda: end in titles(running, "#gpu-admin", "n2"), 30, "the resolution", hint=hint)
    # Prometheus tells an end again for 15 minutes: once the node answers, that its card is cool is true and may be told.
    assert [title for title in titles(running, "#gpu-admin", "n2") if title != cooled] == [*said, end]
    back = next(post for post in running.slack.to("#gpu-admin") if post["title"] == end)
    assert back["color"] == "good"
    assert back["text"].startswith("*Resolved* after ")
    assert "n2 answers again." in back["text"]
    made.wait(lost, "running")


def slack_is_typed_into(made: Watched) -> None:
    """One's own jobs are listed and cancelled; a job of somebody else is not."""
    mine, lost = made.jobs["alice"]["mine"], made.jobs["bob"]["lost"]
    assert f"{mine} mine  running" in made.types("alice", "my")
    assert f"{made.accounts['bob'].name} may not cancel it" in made.types("bob", f"cancel {mine}")
    assert made.lab.json("show", mine)["state"] == "running"
    assert made.types("bob", f"cancel {lost}") == f"Job {lost} is being stopped."
    made.wait(lost, "cancelled")
    assert made.types("alice", f"cancel {mine}") == f"Job {mine} is being stopped."
    made.wait(mine, "cancelled")


@pytest.mark.timeout(300)
def test_people_read_once_and_in_order_what_happens_to_their_jobs_and_admins_what_happens_to_machines(
    watched: tuple[Watched, Watching, WatchedNode], nodes: tuple[MockNvml, MockNvml], tmp_path: Path
) -> None:
    made, running, second = watched
    idle_outside_the_queue(made, nodes[0])
    who_uses_which_gpu(made, running)
    jobs_end_in_each_way(made, tmp_path / "image")
    a_node_dies_and_comes_back(made, running, second)
    slack_is_typed_into(made)
    # What they did themselves they know; nothing was said twice, and nobody else's mail came.
    assert (len(made.told("alice")), len(made.told("bob"))) == (5, 4)
    wait_for(lambda: running.slack.to(SLACK_ID["bob"]), 40, "the idle GPU to be told", hint=running.logs)
    (idle,) = running.slack.to(SLACK_ID["bob"])
    assert idle["title"] == f"{made.accounts['bob'].name} holds GPU 1 of n1 without using it"
    assert "container labqt-idle" in idle["text"]
    assert running.slack.to(SLACK_ID["alice"]) == []
    assert running.slack.refused == []
    assert {post.channel for post in made.slack.posts} == {f"D{person}" for person in SLACK_ID.values()}
