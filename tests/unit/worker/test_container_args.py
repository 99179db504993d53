"""A job and its lease -> what the engine is asked for."""

from dataclasses import replace

import pytest
from unit.worker.jobs import job

from labq_worker.container_args import Bind, Host, Places, cgroup_parent, container_request

HOST = Host("n1", "agent-1", "cgroupfs", 8.0)
PLACES = Places("/d/outputs/1042/2", "/d/homes/1042/2")


def test_the_whole() -> None:
    request = container_request(job(name="train"), HOST, PLACES)
    assert request.name == "labq-alice-1042-2"
    assert request.image == "busybox"
    assert request.user == "1001:1002"
    assert (request.nano_cpus, request.memory, request.shm) == (2_000_000_000, 2**30, 2**29)
    assert request.cgroup_parent == "/labq/alice"
    assert request.labels == {
        "labq.job": "1042",
        "labq.attempt": "2",
        "labq.lease": "abcdef0123456789",
        "labq.owner": "alice",
        "labq.gpus": "",
        "labq.node": "n1",
        "labq.agent": "agent-1",
    }
    assert Bind("/d/outputs/1042/2", "/outputs", writable=True) in request.binds
    assert Bind("/d/homes/1042/2", "/home/alice", writable=True) in request.binds
    assert request.env["LABQ_OUTPUT_DIR"] == "/outputs"
    assert request.env["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert (request.command, request.entrypoint, request.device_ids) == (None, None, ())


def test_real_gpus_are_device_ids_and_simulated_ones_are_not() -> None:
    real = container_request(job(("GPU-a", "GPU-b")), HOST, PLACES)
    assert real.device_ids == ("GPU-a", "GPU-b")
    assert real.env["LABQ_GPUS"] == "GPU-a,GPU-b"
    assert "NVIDIA_VISIBLE_DEVICES" not in real.env  # the runtime sets it
    assert "labq.simulated" not in real.labels
    made_up = container_request(job(("SIM-n1-0",), simulated=True), HOST, PLACES)
    assert made_up.device_ids == ()
    assert made_up.env["NVIDIA_VISIBLE_DEVICES"] == "SIM-n1-0"
    assert made_up.env["LABQ_GPUS_SIMULATED"] == "1"
    assert made_up.labels["labq.simulated"] == "1"


def test_labq_has_the_last_word_on_its_own_variables_and_the_owner_on_the_others() -> None:
    asked = job(env={"HOME": "/elsewhere", "PATH": "/bin"}, secrets=["KEY"], array="1042", index=3)
    env = container_request(asked, HOST, replace(PLACES, secrets="/dev/shm/x")).env
    assert (env["HOME"], env["PATH"], env["KEY_FILE"]) == ("/elsewhere", "/bin", "/run/secrets/KEY")
    assert (env["LABQ_ARRAY_ID"], env["LABQ_ARRAY_INDEX"]) == ("1042", "3")


def test_secrets_are_read_only_and_no_repr_shows_the_environment() -> None:
    request = container_request(job(env={"A": "hidden-value"}), HOST, replace(PLACES, secrets="/dev/shm/x"))
    assert Bind("/dev/shm/x", "/run/secrets") in request.binds
    assert "hidden-value" not in repr(request)


def test_no_more_cores_than_the_machine_has() -> None:
    assert container_request(job(cpus=64.0), HOST, PLACES).nano_cpus == 8_000_000_000


@pytest.mark.parametrize("owner", ["ada.lovelace", "山田", "a/../b", "-x", "", "weird name"])
def test_any_name_of_a_person_is_legal_for_the_engine(owner: str) -> None:
    request = container_request(job(owner=owner), HOST, PLACES)
    assert request.name.isascii()
    assert "/" not in request.name
    assert ".." not in cgroup_parent(owner, "cgroupfs").split("/")
    assert cgroup_parent(owner, "systemd").count("-") == 1


def test_an_empty_entrypoint_removes_the_images_own() -> None:
    assert container_request(job(entrypoint=[], command=["a", "b"]), HOST, PLACES).entrypoint == ()


def test_the_seed_is_the_same_in_each_attempt_and_the_owners_when_given() -> None:
    jobs = [job(), job(attempt=9), job(seed=17)]
    first, again, given = (int(container_request(one, HOST, PLACES).env["LABQ_SEED"]) for one in jobs)
    assert first == again
    assert 0 <= first < 2**31
    assert given == 17
