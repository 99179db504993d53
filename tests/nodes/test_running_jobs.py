"""A job runs on through what is done to its node: another labq, other settings of Docker, another driver beside it."""

from collections.abc import Iterator

import pytest
from nodes.conftest import Provisioned
from support.waiting import wait_for
from support.wheelhouse import build_wheel

pytestmark = pytest.mark.timeout(1200)


class Counting:
    """A job on gpu01 that counts, three numbers in a second, until it is let go."""

    def __init__(self, whole: Provisioned) -> None:
        self.whole = whole
        script = "i=0; while [ ! -e /outputs/go ]; do echo $((i += 1)); sleep 0.3; done; echo over"
        self.id = whole.lab.submit(node="rack=1", script=script)
        whole.lab.running(self.id)
        self.pid = self._pid()

    def _pid(self) -> str:
        inside = self.whole.gpu01.run(f"docker ps -q --filter label=labq.job={self.id}")
        return self.whole.gpu01.run(f"docker inspect -f '{{{{.State.Pid}}}}' {inside}")

    def runs_on(self) -> None:
        """It is the same process, and what it says still arrives."""
        assert self._pid() == self.pid
        seen = len(self.whole.lab.labq("logs", self.id).stdout.splitlines())
        wait_for(
            lambda: len(self.whole.lab.labq("logs", self.id).stdout.splitlines()) > seen, 30, "its log to go on",
            interval=0.5, hint=self.whole.gpu01.logs,
        )  # fmt: skip

    def ends_well(self) -> None:
        """Let go, it ends in its own way, was tried once, and no line of its log is missing or twice."""
        lab = self.whole.lab
        self.whole.gpu01.run(
            f"touch $(find /var/lib/labq-node/outputs/{self.id} -mindepth 1 -maxdepth 1 -type d)/go"
        )
        assert lab.labq("wait", self.id, "--timeout", "60s", check=False).returncode == 0, lab.logs()
        lines = lab.labq("logs", self.id).stdout.splitlines()
        assert lines == [*map(str, range(1, len(lines))), "over"]
        assert lab.json("show", self.id)["attempt"] == 1


@pytest.fixture
def job(whole: Provisioned) -> Iterator[Counting]:
    found = Counting(whole)
    yield found
    whole.lab.labq("cancel", found.id, check=False)


def test_a_running_job_survives_an_upgrade_of_the_agent(whole: Provisioned, job: Counting) -> None:
    lab, node = whole.lab, whole.gpu01
    before = node.run("readlink /opt/labq/current; systemctl show -P MainPID labq-worker")
    (old,) = lab.packages.glob("*.whl")
    new = build_wheel(lab.packages, "0.1.99")
    old.rename(lab.directory / old.name)
    try:
        run = lab.succeeds(
            "provision", "gpu_nodes", "--limit", "gpu01", "--tags", "labq_package,labq_worker,labq_exporter"
        )
        assert run.changed()["gpu01"] > 0
        assert node.run("readlink /opt/labq/current; systemctl show -P MainPID labq-worker") != before
        wait_for(
            lambda: (lab.node("gpu01") or {})["version"] == "0.1.99", 60, "the new version", interval=0.5
        )
        job.runs_on()
        again = lab.succeeds(
            "provision", "gpu_nodes", "--limit", "gpu01", "--tags", "labq_package,labq_worker,labq_exporter"
        )
        assert again.changed()["gpu01"] == 0, again.text
    finally:
        # And back, as one goes back when the new one is bad.
        new.unlink()
        (lab.directory / old.name).rename(old)
        lab.succeeds(
            "provision", "gpu_nodes", "--limit", "gpu01", "--tags", "labq_package,labq_worker,labq_exporter"
        )
    job.runs_on()
    job.ends_well()


def test_a_running_job_survives_changes_of_dockers_settings_by_reload_and_by_restart(
    whole: Provisioned, job: Counting
) -> None:
    lab, node = whole.lab, whole.gpu01

    def play(**changes: object) -> bool:
        """Plays with these settings; returns whether dockerd was restarted."""
        before = node.run("systemctl show -P MainPID docker")
        lab.write_inventory(**changes)
        run = lab.succeeds("provision", "gpu_nodes", "--limit", "gpu01", "--tags", "docker")
        assert run.changed()["gpu01"] > 0
        job.runs_on()
        return node.run("systemctl show -P MainPID docker") != before

    try:
        assert not play(docker_insecure_registries=["lab:5000"])
        assert play(docker_insecure_registries=["lab:5000"], docker_log_max_size="30m")
    finally:
        play()
    job.ends_well()
