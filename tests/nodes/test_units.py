"""The units on a real systemd: locked programs do all their work, a hung one is started again, and jobs notice nothing.

Server, Redis, agent, exporter and notifier are all on one machine here; how machines are provisioned is another matter.
"""

import shutil

import pytest
from support.engine import BUSYBOX
from support.nvml import gpu_line
from support.redis import server_program
from support.systemd_node import SystemdNode
from support.systemd_node_fixtures import Machines
from support.waiting import wait_for
from support.wheelhouse import build_wheel, wheelhouse

pytestmark = pytest.mark.timeout(600)
BIN = "/opt/labq/current/bin"
UNITS = ("labq-scheduler", "labq-notifier", "labq-exporter", "labq-worker")
PACKAGES = "docker.io nvidia-driver-580-server nvidia-container-toolkit python3-venv"
#: Seconds of the agent's watchdog here; by itself it is 60.
WATCHDOG = 6
CONTEXT = r"""
printf 'FROM labq-test/busybox\nCOPY job.sh /job.sh\n' > Dockerfile
printf 'id -u; cat /data/weights /run/secrets/KEY; echo done >/outputs/result; while [ ! -e /data/"$1" ]; do sleep 0.2; done\n' > job.sh
"""


@pytest.fixture(scope="module")
def machine(machines: Machines) -> SystemdNode:
    """A machine on which everything runs by its unit."""
    node = machines.make("units")
    shutil.copytree(
        wheelhouse(("store", "scheduler", "worker", "exporter", "notify")), node.hardware / "wheels"
    )
    shutil.copy(str(server_program()), node.hardware / "redis-server")
    build_wheel(node.hardware)
    node.run("echo 'deb [trusted=yes] file:/srv/nvidia ./' > /etc/apt/sources.list.d/nvidia.list")
    node.run(f"apt-get update && apt-get install -y --no-install-recommends {PACKAGES} && modprobe nvidia")
    node.run("systemctl restart docker")
    node.load(BUSYBOX)
    extras = "scheduler,worker,exporter,notify"
    node.run(
        f"python3 -m venv /opt/labq/current && {BIN}/pip install -q --no-index --find-links /srv/hardware/wheels "
        f'"$(ls /srv/hardware/labq-*.whl)[{extras}]"'
    )
    node.run(
        f"for unit in $({BIN}/python -m labq.systemd); do {BIN}/python -m labq.systemd $unit >/etc/systemd/system/$unit; done"
    )
    node.run(
        "useradd --system labq; useradd -m -u 4001 ann; mkdir -p /etc/labq /data; echo weights >/data/weights"
    )
    redis = "LABQ_REDIS_URL=redis://127.0.0.1:6379/0\n"
    node.write("/etc/labq/notifier.env", redis)
    node.write(
        "/etc/labq/scheduler.env",
        f"{redis}LABQ_REDIS_URL_NODES=redis://127.0.0.1:6379/0\nLABQ_MOUNTS=/data:ro\n",
    )
    worker = 'LABQ_NODE=units\nLABQ_SERVER=http://127.0.0.1:7580\nLABQ_NODE_LABELS="rack=a"\nLABQ_MOUNTS="/data:ro"\n'
    node.write("/etc/labq/worker.env", worker)
    node.run("mkdir -p /etc/systemd/system/labq-worker.service.d")
    quick = f"[Service]\nWatchdogSec={WATCHDOG}\nTimeoutAbortSec=3\n"
    node.write("/etc/systemd/system/labq-worker.service.d/quick.conf", quick)
    server = "/srv/hardware/redis-server --port 6379 --dir /var/tmp --appendonly yes --save ''"
    node.write("/etc/systemd/system/redis-server.service", f"[Service]\nExecStart={server}\n")
    node.run(
        "systemctl daemon-reload && systemctl start redis-server labq-scheduler labq-notifier labq-exporter"
    )
    ready = f"{BIN}/python -c 'import urllib.request as u; u.urlopen(\"http://127.0.0.1:7580/readyz\")'"
    wait_for(lambda: node.exec(ready).returncode == 0, 60, "the server", hint=node.logs)
    env = "set -a; . /etc/labq/scheduler.env; set +a"
    node.run(f"{BIN}/labq-worker --check-config /etc/labq/worker.env")
    join = f"{BIN}/labq-worker --join --server http://127.0.0.1:7580 --name units"
    node.run(f"{env}; token=$({BIN}/labq-scheduler --node-join units) && echo $token | {join}")
    node.run(
        f"{env}; install -d -o ann -m 700 ~ann/.config ~ann/.config/labq ~ann/x; umask 077; "
        f'printf \'server = "http://127.0.0.1:7580"\\ntoken = "%s"\\n\' $({BIN}/labq-scheduler --add-admin ann) '
        ">~ann/.config/labq/config.toml; chown ann ~ann/.config/labq/config.toml"
    )
    node.run("systemctl start labq-worker")
    as_ann(node, CONTEXT)
    wait_for(lambda: "free" in as_ann(node, f"{BIN}/labq nodes"), 60, "the node to be up", hint=node.logs)
    return node


def as_ann(node: SystemdNode, script: str) -> str:
    """Runs it as ann in a directory of her own."""
    node.write("/home/ann/script", f"cd ~/x\n{script}\n")
    return node.run("su - ann -c 'sh ~/script'")


def submit(node: SystemdNode, until: str) -> str:
    """Submits a job that ends when the file /data/UNTIL is there; returns its id when it runs."""
    command = (
        f"KEY=s3cret {BIN}/labq submit --json --gpus 1 --mount /data:/data:ro --secret KEY --node rack=a . "
        f"-- sh /job.sh {until} | grep -o '\"id\": *\"[0-9]*\"' | grep -o '[0-9]*' | head -1"
    )
    job = as_ann(node, command)
    wait_for(lambda: state(node, job) == "running", 60, f"job {job} to run", hint=node.logs)
    return job


def state(node: SystemdNode, job: str) -> str:
    return as_ann(node, f'{BIN}/labq show {job} --json | grep -o \'"state": *"[a-z]*"\' | head -1').split(
        '"'
    )[-2]


def container(node: SystemdNode) -> str:
    return node.run("docker ps -q --no-trunc")


def prop(node: SystemdNode, name: str, unit: str = "labq-worker") -> str:
    return node.run(f"systemctl show --property={name} --value {unit}")


def finish(node: SystemdNode, job: str, until: str) -> None:
    node.run(f"touch /data/{until}")
    wait_for(lambda: state(node, job) == "succeeded", 60, f"job {job} to succeed", hint=node.logs)


@pytest.mark.parametrize("unit", UNITS)
def test_every_program_runs_locked_and_says_what_it_does(machine: SystemdNode, unit: str) -> None:
    assert prop(machine, "ActiveState", unit) == "active"
    assert prop(machine, "StatusText", unit)
    status = machine.run(f"cat /proc/{prop(machine, 'MainPID', unit)}/status")
    rows = dict(row.split(":\t", 1) for row in status.splitlines() if ":\t" in row)
    assert (rows["Seccomp"].strip(), rows["NoNewPrivs"].strip()) == ("2", "1")
    # Bits of linux/capability.h. The machine itself, a container, has not all of them.
    chown, override, search, fowner, ptrace = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 19
    allowed = {
        "labq-worker": chown | override | search | fowner | ptrace,
        "labq-exporter": override | search | ptrace,
    }
    held = int(rows["CapBnd"], 16)
    assert held & ~allowed.get(unit, 0) == 0
    assert bool(held) is (unit in allowed)


def test_a_locked_agent_builds_runs_as_the_owner_mounts_hands_secrets_in_and_gives_outputs_away(
    machine: SystemdNode,
) -> None:
    job = submit(machine, "first")
    finish(machine, job, "first")
    assert as_ann(machine, f"{BIN}/labq logs {job}") == "4001\nweights\ns3cret"
    as_ann(machine, f"{BIN}/labq fetch {job}")
    assert machine.run(f"stat -c %U ~ann/x/labq-outputs/{job}/result") == "ann"
    assert as_ann(machine, f"cat labq-outputs/{job}/result") == "done"


def test_a_locked_exporter_names_the_person_behind_a_process_of_somebody_else(machine: SystemdNode) -> None:
    job = submit(machine, "second")
    pid = machine.run(f"docker inspect -f '{{{{.State.Pid}}}}' {container(machine)}")
    machine.gpus(gpu_line(0, used=2**30), f"proc 0 {pid} 1073741824")
    metrics = f"{BIN}/python -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:9746/metrics\").read().decode())'"

    def holders() -> list[str]:
        return [row for row in machine.run(metrics).splitlines() if row.startswith("labq_gpu_holder_info")]

    wait_for(
        lambda: any('user="ann"' in row and f'job_id="{job}"' in row for row in holders()),
        30,
        "ann to be named",
    )
    # A process that no engine and no lease knows: whose it is, is read from /proc.
    machine.run("systemd-run --quiet --unit outside --uid=4001 sleep 1000")
    machine.gpus(gpu_line(0, used=2**30), f"proc 0 {prop(machine, 'MainPID', 'outside')} 1073741824")
    wait_for(
        lambda: any('source="uid"' in row and 'user="ann"' in row for row in holders()),
        30,
        "the process to be named",
        hint=lambda: "\n".join(holders()),
    )
    machine.run("systemctl stop outside")
    machine.gpus(gpu_line(0))
    finish(machine, job, "second")


def test_an_agent_that_hangs_is_started_again_and_its_job_runs_on(machine: SystemdNode) -> None:
    job = submit(machine, "third")
    before, restarts = container(machine), int(prop(machine, "NRestarts"))
    machine.run(f"kill -STOP {prop(machine, 'MainPID')}")
    wait_for(lambda: int(prop(machine, "NRestarts")) == restarts + 1, 60, "the watchdog", hint=machine.logs)
    assert "Failed with result 'watchdog'" in machine.run("journalctl --no-pager -u labq-worker")
    assert container(machine) == before
    finish(machine, job, "third")


def test_neither_an_absent_redis_nor_a_silent_engine_nor_a_hanging_gpu_restarts_anything(
    machine: SystemdNode,
) -> None:
    job = submit(machine, "fourth")
    restarts = {unit: prop(machine, "NRestarts", unit) for unit in UNITS}
    fed = prop(machine, "WatchdogTimestampMonotonic")
    machine.gpus(gpu_line(0), "hang 0")
    machine.run("systemctl stop redis-server; pkill -STOP -x dockerd")
    try:

        def away() -> bool:
            return prop(machine, "StatusText").endswith("Redis does not answer")

        wait_for(away, 60, "the agent to say so", hint=machine.logs)
        # Three times the watchdog's time, as systemd counts it.
        end = int(fed) + 3 * WATCHDOG * 1_000_000
        wait_for(lambda: int(prop(machine, "WatchdogTimestampMonotonic")) > end, 90, "it to be fed all along")
    finally:
        machine.run("pkill -CONT -x dockerd")
        machine.run("systemctl start redis-server")
        machine.gpus(gpu_line(0))
    assert {unit: prop(machine, "NRestarts", unit) for unit in UNITS} == restarts
    finish(machine, job, "fourth")


def test_an_upgrade_or_a_stop_of_docker_takes_the_agent_with_it_neither_way(machine: SystemdNode) -> None:
    agent = prop(machine, "MainPID")
    machine.run("systemctl stop docker docker.socket && systemctl start docker")
    assert prop(machine, "MainPID") == agent
