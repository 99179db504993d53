"""From bare machines with ssh to nodes that take jobs, in one command each, and again without a change."""

import base64
import json
import urllib.request

import pytest
from nodes.conftest import Provisioned
from support.nvml import gpu_uuid
from support.prometheus import Prometheus
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(1800)


def test_two_bare_machines_become_nodes_by_one_command_each(provisioned: Provisioned) -> None:
    for name, run in provisioned.first.items():
        print(f"{name}: {run.seconds:.0f} s from a bare machine to a node, {run.changed()[name]} changes")
        assert run.changed()[name] > 20
        row = provisioned.lab.node(name)
        assert row is not None
        assert row["state"] == "up"
        assert row["labels"] == {"rack": name[-1]}
        assert len(row["gpus"]) == {"gpu01": 2, "gpu02": 1}[name]


def test_a_job_submitted_from_outside_runs_in_a_container_on_each_node_as_its_owner(
    whole: Provisioned,
) -> None:
    lab = whole.lab
    script = "hostname; id -u; echo GPUS=$NVIDIA_VISIBLE_DEVICES; sleep 4; echo out > /outputs/made"
    jobs = {name: lab.submit(node=f"rack={name[-1]}", script=script) for name in whole.nodes}
    for name, job in jobs.items():
        lab.running(job)
        assert lab.json("show", job)["node"] == name
        inside = whole.nodes[name].run("docker ps --format '{{.Label \"labq.job\"}}'")
        assert job in inside
    for job in jobs.values():
        assert lab.labq("wait", job, "--timeout", "60s", check=False).returncode == 0, lab.labq(
            "logs", job
        ).stdout
        said = lab.labq("logs", job).stdout
        assert "\n4001\n" in said
        assert "GPUS=GPU-" in said
        lab.labq("fetch", job, "--to", str(lab.directory / "out" / job), who="ann")
        assert (lab.directory / "out" / job / "made").read_text() == "out\n"


def test_the_gpus_of_each_node_are_seen_by_its_exporter_and_by_prometheus(whole: Provisioned) -> None:
    lab = whole.lab
    # Two lines: a job holds one of gpu01's.
    job = lab.submit(node="rack=1", script="sleep 120")
    lab.running(job)
    (targets,) = list((lab.directory / "targets").glob("*.json"))
    wait_for(
        lambda: len(json.loads(targets.read_text())) >= 2, 30, "two nodes in Prometheus' list of targets"
    )
    config = (
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        "scrape_configs:\n"
        "  - job_name: labq\n"
        f"    basic_auth: {{username: prometheus, password: {lab.planted['exporter']}}}\n"
        f"    file_sd_configs: [{{files: ['{targets}'], refresh_interval: 1s}}]\n"
        # As dashboards/prometheus does it.
        "    relabel_configs: [{source_labels: [__address__], target_label: __address__, replacement: '${1}:9746'}]\n"
    )
    prometheus = Prometheus(lab.directory / "prometheus", "", 1, config)
    try:
        asked = "sum(count by (node) (labq_gpu_info))"

        def gpus() -> list[str]:
            return [str(row["value"][1]) for row in prometheus.query(asked)]  # type: ignore[index]

        wait_for(
            lambda: gpus() == ["3"], 60, "three GPUs in Prometheus", interval=0.5, hint=targets.read_text
        )
    finally:
        prometheus.close()
    page = scrape(whole, "gpu01")
    assert gpu_uuid(0) in page
    assert gpu_uuid(1) in page
    wait_for(lambda: job in scrape(whole, "gpu01"), 20, "the job's id on the exporter's page", interval=0.5)
    lab.labq("cancel", job)


def scrape(whole: Provisioned, name: str) -> str:
    """The page of a node's exporter, which asks for the password of the vault."""
    request = urllib.request.Request(f"http://{whole.nodes[name].address}:9746/metrics")
    word = base64.b64encode(f"prometheus:{whole.lab.planted['exporter']}".encode()).decode()
    request.add_header("Authorization", f"Basic {word}")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return str(answer.read().decode())


def test_a_second_run_changes_nothing(whole: Provisioned) -> None:
    again = whole.lab.succeeds("provision", "gpu_nodes")
    print(f"second run of two nodes: {again.seconds:.0f} s")
    assert again.changed() == {"gpu01": 0, "gpu02": 0}, again.text


def test_a_one_time_token_is_refused_the_second_time(whole: Provisioned) -> None:
    lab, node = whole.lab, whole.gpu02
    token = lab.control("--node-join", "spare")
    node.write("/root/token", token)
    join = f"/opt/labq/current/bin/labq-worker --join --server {lab.url} --name spare --node-env"
    node.run(f"{join} /root/first.env < /root/token")
    assert node.run("stat -c %a /root/first.env") == "600"
    refused = node.exec(f"{join} /root/second.env < /root/token")
    assert refused.returncode != 0
    assert "used" in refused.stderr
    assert token not in refused.stderr
    assert node.exec("test -e /root/second.env").returncode != 0
    node.run("rm -f /root/token /root/first.env")
    lab.control("--node-forget", "spare")
