"""The docker command line and its SDK on the proxy, against a real engine: everything that is more than a request."""

import io
import os
import pty
import shutil
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest
from integration.stamping.proxy import DOCKER, LABEL, Proxy
from support.engine import BUSYBOX
from support.need import need
from support.people import People
from support.waiting import wait_for

RUN = ("run", "--rm", "--network=none", *LABEL)
MB = 1024 * 1024
#: The other command line that may be on the machine: another version, other ways to upgrade.
CLIS = sorted({DOCKER, shutil.which("docker") or DOCKER})


@pytest.mark.parametrize("cli", CLIS)
def test_run_prints_and_ends_with_the_status_of_the_command(proxy: Proxy, people: People, cli: str) -> None:
    said = proxy.docker(*RUN, BUSYBOX, "sh", "-c", "echo out; echo err >&2; exit 7", status=7, cli=cli)
    assert sorted(said.split()) == ["err", "out"]


@pytest.mark.parametrize("cli", CLIS)
def test_the_end_of_stdin_arrives_and_output_after_it_comes_back(proxy: Proxy, cli: str) -> None:
    data = os.urandom(2 * MB).hex().encode()
    said = proxy.docker(*RUN, "-i", BUSYBOX, "sh", "-c", "md5sum; sleep 0.3; echo after", feed=data, cli=cli)
    import hashlib

    assert said.split() == [hashlib.md5(data, usedforsecurity=False).hexdigest(), "-", "after"]


def test_stdin_that_looks_like_a_create_is_not_touched(proxy: Proxy) -> None:
    data = b"POST /containers/create HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
    assert proxy.docker(*RUN, "-i", BUSYBOX, "cat", feed=data).encode() == data


def test_exec_takes_stdin_and_gives_its_status(proxy: Proxy) -> None:
    container = proxy.run("sleep", "60")
    assert proxy.docker("exec", "-i", container, "cat", feed=b"piped") == "piped"
    proxy.docker("exec", container, "sh", "-c", "exit 3", status=3)
    proxy.docker("exec", "-d", container, "touch", "/tmp/detached")
    wait_for(lambda: "detached" in proxy.docker("exec", container, "ls", "/tmp"), 10, "the detached exec")


@pytest.mark.parametrize("cli", CLIS)
def test_a_terminal_works_in_both_directions(proxy: Proxy, cli: str) -> None:
    child, master = pty.fork()
    if child == 0:
        os.environ["DOCKER_HOST"] = proxy.host
        os.execv(cli, [cli, *RUN, "-it", BUSYBOX, "sh"])  # noqa: S606
    seen = b""

    def see(word: bytes) -> bool:
        nonlocal seen
        seen += os.read(master, 4096)
        return word in seen

    wait_for(lambda: see(b"# "), 20, "a prompt")
    os.write(master, b"tty; echo $((6*7))\n")
    wait_for(lambda: see(b"42"), 10, "the answer")
    assert b"/dev/pts/" in seen or b"/dev/console" in seen
    os.write(master, b"exit 5\n")
    _, status = os.waitpid(child, 0)
    os.close(master)
    assert os.waitstatus_to_exitcode(status) == 5


def test_attach_talks_with_a_running_container_until_stdin_ends(proxy: Proxy) -> None:
    # Not with a command that ends at once: a third of the time docker 20.10 itself loses the output of that.
    container = proxy.docker("create", "-i", "--network=none", *LABEL, BUSYBOX, "cat").strip()
    proxy.docker("start", container)
    attached = proxy.popen("attach", container)
    assert attached.stdin is not None
    assert attached.stdout is not None
    for word in (b"one\n", b"two\n"):
        attached.stdin.write(word)
        attached.stdin.flush()
        assert attached.stdout.readline() == word
    attached.communicate(timeout=20)
    assert attached.returncode == 0
    assert not proxy.engine.client.api.inspect_container(container)["State"]["Running"]


def test_logs_and_events_come_as_they_happen(proxy: Proxy) -> None:
    events = proxy.popen("events", "--filter", "label=labq.test", "--format", "{{.Action}}")
    assert events.stdout is not None
    container = proxy.run(
        "sh", "-c", "echo one; read x; echo two", options=("-i", "--name", "labq-stamp-logs")
    )
    logs = proxy.popen("logs", "-f", container)
    assert logs.stdout is not None
    assert logs.stdout.readline() == b"one\n"
    proxy.docker("attach", container, feed=b"x\n")
    assert logs.stdout.readline() == b"two\n"
    assert logs.wait(10) == 0
    actions = [events.stdout.readline().decode().strip() for _ in range(3)]
    assert actions[0] == "create"
    for process in (events, logs):
        process.kill()
        process.communicate()
    assert "'labq-stamp-logs'" in proxy.log


def test_files_are_copied_both_ways(proxy: Proxy, tmp_path: Path) -> None:
    container = proxy.run("sleep", "60")
    (tmp_path / "in").write_bytes(os.urandom(5 * MB))
    proxy.docker("cp", str(tmp_path / "in"), f"{container}:/tmp/x")
    proxy.docker("cp", f"{container}:/tmp/x", str(tmp_path / "out"))
    assert (tmp_path / "in").read_bytes() == (tmp_path / "out").read_bytes()


@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_images_are_built_by_both_builders(proxy: Proxy, tmp_path: Path, buildkit: str) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {BUSYBOX}\nCOPY data /data\nRUN md5sum /data > /sum\n")
    (tmp_path / "data").write_bytes(os.urandom(20 * MB))
    tag = f"labq-test/stamp-build-{buildkit}"
    proxy.docker("build", "--network=none", "--no-cache", "-t", tag, str(tmp_path), buildkit=buildkit)
    assert "/data" in proxy.docker(*RUN, tag, "cat", "/sum")
    proxy.engine.docker("rmi", "-f", tag)


@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_a_build_that_fails_says_why(proxy: Proxy, tmp_path: Path, buildkit: str) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {BUSYBOX}\nRUN echo why not; exit 9\n")
    said = proxy.docker(
        "build",
        "--network=none",
        "--no-cache",
        str(tmp_path),
        buildkit=buildkit,
        status=9 if buildkit == "0" else 1,
    )
    assert "why not" in said


def test_images_are_saved_and_loaded_byte_by_byte(proxy: Proxy, tmp_path: Path) -> None:
    proxy.docker("save", "-o", str(tmp_path / "through.tar"), BUSYBOX)
    proxy.engine.docker("save", "-o", str(tmp_path / "direct.tar"), BUSYBOX)
    assert (tmp_path / "through.tar").read_bytes() == (tmp_path / "direct.tar").read_bytes()
    assert "Loaded image" in proxy.docker("load", "-i", str(tmp_path / "through.tar"))


def test_the_engines_errors_arrive_as_they_are(proxy: Proxy) -> None:
    for command in (("pull", "127.0.0.1:1/none"), ("start", "nobody"), ("exec", "nobody", "true"), ("attach", "nobody"),
                    ("run", *LABEL, "--memory=1", BUSYBOX)):  # fmt: skip
        through = proxy.docker(*command, status=125 if command[0] == "run" else 1, cli="docker")
        assert through == proxy.engine.docker(*command, check=False)
        assert "labq" not in through or "labq-test/" in through


def test_the_sdk_runs_streams_and_keeps_one_connection_for_two_hundred_requests(proxy: Proxy) -> None:
    client = proxy.client()
    try:
        for _ in range(200):
            assert client.api.ping()
        said = client.containers.run(
            BUSYBOX, "echo hi", labels={"labq.test": "stamping"}, remove=True, network_mode="none"
        )
        assert said == b"hi\n"
        container = client.containers.run(
            BUSYBOX, "sleep 60", labels={"labq.test": "stamping"}, detach=True, network_mode="none"
        )
        assert container.exec_run("echo x").output == b"x\n"
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("empty"))
        assert container.put_archive("/tmp", data.getvalue())
        assert b"empty" in container.exec_run("ls /tmp").output
        container.remove(force=True)
    finally:
        client.close()


def test_a_create_on_a_connection_whose_exec_was_refused_or_detached_is_still_stamped(
    proxy: Proxy, people: People
) -> None:
    container = proxy.run("sleep", "60")
    program = (
        "import docker, sys\n"
        "client = docker.DockerClient(base_url=sys.argv[1], version='1.41')\n"
        "api = client.api\n"
        "first = api.exec_create(sys.argv[2], 'true')['Id']\n"
        "api.exec_start(first, detach=True)\n"
        "second = api.exec_create(sys.argv[2], 'true')['Id']\n"
        "api.stop(sys.argv[2], timeout=0)\n"
        "try: api.exec_start(second)\n"
        "except docker.errors.APIError as error: assert error.status_code in {404, 409}, error\n"
        "else: raise SystemExit('the exec should have been refused')\n"
        f"print(api.create_container({BUSYBOX!r}, labels={{'labq.test': 'stamping'}})['Id'])\n"
    )
    import sys

    made = subprocess.run(
        [sys.executable, "-c", program, proxy.host, container],
        user=people.alice.uid, extra_groups=[], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert proxy.labels(made.stdout.strip())["io.labq.owner"] == people.alice.name


def test_compose_of_python_goes_up_execs_and_comes_down(proxy: Proxy, people: People, tmp_path: Path) -> None:
    need(shutil.which("docker-compose"), "docker-compose (apt-get install docker-compose)")
    tmp_path.chmod(0o755)
    file = tmp_path / "docker-compose.yml"
    file.write_text(
        'version: "3"\nservices:\n  a:\n'
        f"    image: {BUSYBOX}\n    command: sleep 60\n    network_mode: none\n    labels: [labq.test=stamping]\n"
    )
    compose = ("-f", str(file), "-p", "labqstamp")
    proxy.docker(*compose, "up", "-d", sudo=True, person=people.alice, cli="docker-compose")
    (found,) = proxy.engine.client.api.containers(filters={"label": "com.docker.compose.project=labqstamp"})
    assert found["Labels"]["io.labq.owner"] == people.alice.name
    assert proxy.docker(*compose, "exec", "-T", "a", "echo", "inside", cli="docker-compose") == "inside\n"
    proxy.docker(*compose, "up", "-d", sudo=True, person=people.alice, cli="docker-compose")
    assert "sleep" in proxy.docker(*compose, "ps", cli="docker-compose")
    proxy.docker(*compose, "down", "-t", "0", cli="docker-compose")
    assert not proxy.engine.client.api.containers(filters={"label": "com.docker.compose.project=labqstamp"})


def test_a_signal_to_the_client_reaches_the_container(proxy: Proxy) -> None:
    process = proxy.popen(
        "run", "--rm", "--init", "--network=none", *LABEL, "--name", "labq-stamp-int", BUSYBOX, "sleep", "60"
    )
    wait_for(lambda: "labq-stamp-int" in proxy.engine.docker("ps"), 20, "the container")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 143
