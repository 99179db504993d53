"""The proxy in front of podman's service, whose API is Docker's and one of its own."""

import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.stamping.proxy import Proxy
from support.daemon import Daemon
from support.engine import Engine
from support.need import need
from support.people import People
from support.waiting import wait_for

IMAGE = "localhost/labq-stamp:latest"


@pytest.fixture
def podman(engine: Engine) -> Iterator[Proxy]:
    need(shutil.which("podman") and shutil.which("runc"), "podman (apt-get install podman runc)")
    need(Path("/bin/busybox").exists(), "busybox (apt-get install busybox-static)")
    directory = Path(tempfile.mkdtemp(prefix="labq-stamp-", dir="/run"))
    directory.chmod(0o755)
    service = Daemon("podman", directory)
    places = [
        "--root",
        str(directory / "root"),
        "--runroot",
        str(directory / "run"),
        "--storage-driver",
        "vfs",
    ]
    how = ["--cgroup-manager", "cgroupfs", "--runtime", "runc", "system", "service", "-t", "0"]
    service.start(["podman", *places, *how, f"unix://{directory}/podman.sock"])
    wait_for((directory / "podman.sock").exists, 20, "podman to listen", hint=service.tail)
    found = Proxy(engine, directory)
    found.engine_path = str(directory / "podman.sock")
    found.start()
    rootfs = io.BytesIO()
    with tarfile.open(fileobj=rootfs, mode="w") as tar:
        tar.add("/bin/busybox", "busybox")
    wait_for(lambda: "4" in found.docker("version"), 20, "podman to answer", hint=service.tail)
    found.docker("import", "-", IMAGE, feed=rootfs.getvalue())
    yield found
    for container in found.docker("ps", "-aq").split():
        found.docker("rm", "-f", container)
    found.end()
    service.end()
    subprocess.run(["umount", "-q", str(directory / "root" / "vfs")], check=False)
    shutil.rmtree(directory)


def labels(proxy: Proxy, name: str) -> str:
    return proxy.docker("inspect", "-f", "{{json .Config.Labels}}", name)


def test_both_of_its_apis_stamp_and_stream(podman: Proxy, people: People) -> None:
    forged = ("--label", "io.labq.owner=evil", "--label", "x=y")
    who = people.alice
    podman.docker("create", "--name", "compat", *forged, IMAGE, "/busybox", person=who, sudo=True)
    remote = ("--remote", "--url", podman.host)
    podman.docker(
        *remote, "create", "--name", "own", *forged, IMAGE, "/busybox", person=who, sudo=True, cli="podman"
    )
    for name in ("compat", "own"):
        assert f'"io.labq.owner":"{who.name}"' in labels(podman, name)
        assert '"x":"y"' in labels(podman, name)
    # Raising its limits is more than tests in a container may do.
    limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
    run = ("run", "-i", "--rm", "--network=none", *limits, IMAGE, "/busybox", "cat")
    assert podman.docker(*run, feed=b"one") == "one"
    assert podman.docker(*remote, *run, feed=b"two", cli="podman") == "two"
