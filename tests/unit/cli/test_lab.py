"""`labq up`: what it plans, what it refuses, what it remembers of processes, what it tells."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import wait_for

from labq.errors import BadInputError, UnavailableError
from labq.lab import people, preflight, record, redis_server
from labq.lab.child import Child
from labq.lab.engine import look
from labq.lab.plan import Plan, child_environment, make_plan, socket_path
from labq.lab.welcome import already_up, welcome
from labq.settings import Settings, read_config


def plan(directory: Path, **changes: object) -> Plan:
    values = {"host": "127.0.0.1", "port": 7580, "node": "n1", "gpus": "auto", "redis_url": ""} | changes
    return Plan(data_dir=directory, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "server"),
    [("127.0.0.1", "http://127.0.0.1:7580"), ("0.0.0.0", "http://127.0.0.1:7580"), ("::", "http://[::1]:7580"),  # noqa: S104
     ("::1", "http://[::1]:7580"), ("lab", "http://lab:7580")],
)  # fmt: skip
def test_the_address_for_this_machine(host: str, server: str, tmp_path: Path) -> None:
    assert plan(tmp_path, host=host).server == server


def test_a_plan_comes_from_flags_and_environment() -> None:
    settings = Settings(
        {"data_dir": "/d", "gpus": None, "port": "81"}, env={"LABQ_GPUS": "none", "HOME": "/nobody"}
    )
    made = make_plan(settings, "n7.lab.example")
    assert (str(made.data_dir), made.gpus, made.port, made.node) == ("/d", "none", 81, "n7")


def test_children_get_the_plan_and_not_the_persons_token(tmp_path: Path) -> None:
    env = child_environment(
        plan(tmp_path), "unix:///r", "secret", {"LABQ_TOKEN": "mine", "PATH": "/bin", "LABQ_PORT": "1"}
    )
    assert "LABQ_TOKEN" not in env
    assert env["LABQ_PORT"] == "7580"
    assert env["LABQ_SHARED_FILES"] == "1"
    assert env["PATH"] == "/bin"


def test_the_socket_path_fits_into_a_socket() -> None:
    assert socket_path(Path("/data"), "", 0) == Path("/data/redis/redis.sock")
    long = Path("/" + "x" * 120)
    for runtime in ("", "/run/user/1000"):
        found = socket_path(long, runtime, 1000)
        assert len(str(found)) < 100
        assert found == socket_path(long, runtime, 1000) != socket_path(long / "y", runtime, 1000)


def test_a_data_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    preflight.prepare_data_dir(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    preflight.prepare_data_dir(tmp_path / "a" / "b")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(BadInputError, match=r"thesis\.tex"):
        preflight.prepare_data_dir(tmp_path / "full")
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="file"):
        preflight.prepare_data_dir(tmp_path / "file")


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadInputError, match=f"port {port} ") as caught:
            preflight.check_port(plan(tmp_path, port=port))
        assert f"--port {port + 1}" in caught.value.next
    preflight.check_port(plan(tmp_path, port=port))


def test_no_engine_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    version, error = look()
    assert version == ""
    assert error is not None
    with pytest.raises(UnavailableError, match="no Docker engine answers") as caught:
        preflight.check_engine()
    assert "systemctl start docker" in caught.value.next


def test_a_process_is_known_by_its_start_too() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        found = record.Process.of(child.pid)
        assert found.alive()
        assert not record.Process(child.pid, found.started + 1).alive()
        record.Process(child.pid, found.started + 1).signal(signal.SIGKILL)
        assert child.poll() is None
        found.signal(signal.SIGTERM)
        wait_for(lambda: not found.alive(), 5, "the child to end (a zombie does not live)")
    assert not record.Process.of(2**22 + 1).alive()


def test_the_record_survives_reading_and_rubbish(tmp_path: Path) -> None:
    assert record.read(tmp_path) is None
    me = record.Process.of(os.getpid())
    wanted = record.Record("http://x:1", me, {"redis": record.Process(5, 6)})
    wanted.write(tmp_path)
    assert record.read(tmp_path) == wanted
    for rubbish in ("", "{}", '{"server": 1, "supervisor": 3, "children": []}', "[1]"):
        (tmp_path / record.NAME).write_text(rubbish)
        assert record.read(tmp_path) is None
    record.forget(tmp_path)
    record.forget(tmp_path)


def test_only_one_supervisor_has_the_lock(tmp_path: Path) -> None:
    with record.locked(tmp_path) as first:
        assert first
        with record.locked(tmp_path) as second:
            assert not second
    with record.locked(tmp_path) as third:
        assert third


def test_a_child_that_dies_is_started_again_with_pauses_that_grow(tmp_path: Path) -> None:
    child = Child(
        "agent", [sys.executable, "-c", "print('why'); raise SystemExit(3)"], os.environ, tmp_path / "log", 5
    )
    pauses = []
    for _ in range(3):
        child.start()
        assert wait_for(child.ended, 10, "it to end") == 3
        pauses.append(round(child.restart_in() or 0, 1))
    assert pauses == [0.5, 1.0, 2.0]
    assert "why" in child.last_lines()


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    child = Child("agent", [sys.executable, "-c", program], os.environ, tmp_path / "log", 0.2)
    child.start()
    wait_for(lambda: "ready" in child.last_lines(), 10, "it to start")
    child.stop()
    assert child.ended() == -signal.SIGKILL


def test_the_person_behind_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    assert people.invoker({}, 0, 0).name == "root"
    someone = people.invoker({"SUDO_UID": "54321", "SUDO_GID": "54322"}, 0, 0)
    assert (someone.name, someone.uid, someone.gid, someone.admin) == ("u54321", 54321, 54322, True)
    assert people.invoker({"SUDO_UID": "1"}, 1000, 1000).uid == 1000


def test_the_configuration_is_written_once_and_another_is_left_alone(tmp_path: Path) -> None:
    data, mine = tmp_path / "data", tmp_path / "config.toml"
    data.mkdir()
    person = people.invoker({}, os.getuid(), os.getgid())
    env = {"LABQ_CONFIG": str(mine)}
    known = {"hers"}.__contains__
    assert people.configure(plan(data), person, "t1", env, known) == []
    assert mine.stat().st_mode & 0o777 == 0o600
    assert read_config(mine) == {"server": "http://127.0.0.1:7580", "token": "t1"}
    assert people.configure(plan(data, port=81), person, "t2", env, known) == []  # ours: follows
    assert read_config(mine) == {"server": "http://127.0.0.1:81", "token": "t2"}
    mine.write_text('server = "http://lab"\ntoken = "other"\n')
    hints = people.configure(plan(data), person, "t3", env, known)
    assert mine.read_text() == 'server = "http://lab"\ntoken = "other"\n'
    assert f"export LABQ_CONFIG={data}/config.toml" in "\n".join(hints)
    assert "t3" not in "\n".join(hints)
    assert read_config(data / "config.toml")["token"] == "t3"


def test_a_configuration_of_an_earlier_lab_at_the_same_address_is_told(tmp_path: Path) -> None:
    data, mine = tmp_path / "data", tmp_path / "config.toml"
    data.mkdir()
    person, env = people.invoker({}, os.getuid(), os.getgid()), {"LABQ_CONFIG": str(mine)}
    for token, told in (("hers", False), ("an earlier lab's", True)):
        mine.write_text(f'server = "{plan(data).server}"\ntoken = "{token}"\n')
        hints = people.configure(plan(data), person, "t", env, {"hers"}.__contains__)
        assert (f"export LABQ_CONFIG={data}/config.toml" in "\n".join(hints)) is told


def test_the_welcome_says_simulated_and_how_to_ask_for_it(tmp_path: Path) -> None:
    gpu = {"model": "A100", "memory": 80 * 2**30, "simulated": True}
    told = "\n".join(welcome(plan(tmp_path), {"gpus": [gpu, gpu]}, []))
    assert "2x A100 (80GB); SIMULATED" in told
    assert "http://127.0.0.1:7580" in told
    told = "\n".join(welcome(plan(tmp_path), {"gpus": []}, ["export X"]))
    assert "--gpus sim:2xRTX-4090-24GB" in told
    assert "export X" in told
    assert "http://y" in already_up(plan(tmp_path), record.Record("http://y", record.Process(1, 1), {}))


def test_redis_listens_on_its_socket_only_and_keeps_what_it_is_told() -> None:
    command = " ".join(redis_server.command("redis-server", Path("/d"), Path("/d/r.sock")))
    for part in (
        "--port 0",
        "--unixsocket /d/r.sock",
        "--appendonly yes",
        "--appendfsync everysec",
        "noeviction",
    ):
        assert part in command
    assert Path(redis_server.program()).exists()
    assert not redis_server.answers(Path("/nowhere/r.sock"))
