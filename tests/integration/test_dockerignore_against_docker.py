"""The docker client packs its context itself, so it shows what `.dockerignore` means.

Most cases are caught from the client by a pretended engine that only keeps the context it is
sent; a few are built by a real engine and compared with the files of the image.
"""

import io
import json
import os
import random
import shutil
import socketserver
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from labq.packing.errors import PackingError
from labq.packing.ignore import IgnoreRules
from labq.packing.pack import open_context

NAMES = ["a", "b", "ab", "a.py", "b.txt", ".x", "a b", "é", "[a]", "a*", "-"]
WHOLE = ["**", "*", "a", "b", "ab", "?", "a*", "*.py", "b.txt", "[a-b]", "[^b]", "\\[a]", "**b",
         "a**", ".*", "é", "??", "a b", ".", "..", "[ab].py", "a\\*", "[[:alpha:]]*", "*[*]"]  # fmt: skip

pytestmark = pytest.mark.skipif(shutil.which("docker") is None, reason="no docker client")


class PretendedEngine(BaseHTTPRequestHandler):
    """As much of an engine as `docker build` needs to hand over its context."""

    protocol_version = "HTTP/1.1"
    context = b""

    def do_HEAD(self) -> None:
        self.answer(b"")

    def do_GET(self) -> None:
        self.answer(b"{}")

    def do_POST(self) -> None:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        type(self).context = body
        self.answer(json.dumps({"stream": "kept\n"}).encode())

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Api-Version", "1.41")
        self.send_header("OSType", "linux")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def address_string(self) -> str:
        return ""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[str]:
    with Server(str(tmp_path / "engine"), PretendedEngine) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"unix://{tmp_path}/engine"
        server.shutdown()
        thread.join()


def docker(*args: str, host: str | None = None, stdin: bytes = b"") -> bytes:
    env = os.environ | {"DOCKER_BUILDKIT": "0"} | ({"DOCKER_HOST": host} if host else {})
    done = subprocess.run(["docker", *args], input=stdin, env=env, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return done.stdout


def make_tree(root: Path, rng: random.Random) -> None:
    for _ in range(25):
        parts = [rng.choice(NAMES) for _ in range(rng.randint(1, 4))]
        try:
            root.joinpath(*parts[:-1]).mkdir(parents=True, exist_ok=True)
            if rng.random() < 0.15:
                root.joinpath(*parts).symlink_to("../nowhere")
            else:
                root.joinpath(*parts).write_text("x")
        except OSError:
            continue  # the name is taken by something else
    root.joinpath("Dockerfile").write_text("FROM scratch\nCOPY . /\n")


def make_rules(rng: random.Random) -> str:
    lines = ["**" if rng.random() < 0.3 else "# comment"]
    for _ in range(rng.randint(1, 5)):
        pattern = "/".join(rng.choice(WHOLE) for _ in range(rng.randint(1, 3)))
        slashed = rng.choice(["", "", "/", "./", " "]) + pattern + rng.choice(["", "", "/", " "])
        lines.append(rng.choice(["", "", "!"]) + slashed)
    return rng.choice(["\n", "\r\n"]).join(lines) + "\n"


def classic_client_skips(path: str, rules: IgnoreRules) -> bool:
    """Whether the classic client misses an included path, as BuildKit does not.

    It skips an excluded directory unless a `!` line begins, letter for letter, with its path:
    after `**`, the line `!**/*.py` puts back only what lies at the top (docker/cli issue 2919).
    """
    parts = path.split("/")
    above = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
    exceptions = [rule.pattern + "/" for rule in rules._exceptions] + ["Dockerfile/"]
    return any(
        rules.excludes(directory) and not any(e.startswith(directory + "/") for e in exceptions)
        for directory in above
    )


def expected(root: Path) -> tuple[set[str], set[str]]:
    """What the classic client sends of a directory, and what only labq and BuildKit send."""
    text = (root / ".dockerignore").read_bytes().decode()
    rules = IgnoreRules(text.split("\n"), ["Dockerfile", ".dockerignore"])
    mine = {path for path in open_context(root).paths() if path != "./"}
    implied = {path for path in mine if path.endswith("/") and rules.excludes(path)}
    missed = {path for path in mine if classic_client_skips(path.rstrip("/"), rules)}
    return mine - implied - missed, missed


@pytest.mark.parametrize("block", range(8))
def test_the_client_sends_the_same_files(block: int, tmp_path: Path, engine: str) -> None:
    different = {}
    sent = missed = refused = 0
    for seed in range(block * 25, block * 25 + 25):
        rng = random.Random(seed)
        root = tmp_path / str(seed)
        root.mkdir()
        make_tree(root, rng)
        (root / ".dockerignore").write_bytes(make_rules(rng).encode())
        try:
            mine, only_mine = expected(root)
        except PackingError:
            with pytest.raises(RuntimeError, match=r"syntax error in pattern|illegal exclusion"):
                docker("build", "-q", str(root), host=engine)
            refused += 1
            continue
        docker("build", "-q", str(root), host=engine)
        with tarfile.open(fileobj=io.BytesIO(PretendedEngine.context)) as tar:
            theirs = {m.name + ("/" if m.isdir() else "") for m in tar} - {"./"}
        sent, missed = sent + len(theirs), missed + len(only_mine)
        if theirs != mine:
            rules = (root / ".dockerignore").read_text()
            different[rules] = {"missing": sorted(theirs - mine), "extra": sorted(mine - theirs)}
    print(f"{sent} paths the same, {missed} that the classic client misses, {refused} refused")
    assert different == {}
    assert sent > 100


def engine_answers() -> bool:
    try:
        return bool(docker("version", "--format", "{{.Server.Version}}"))
    except RuntimeError:
        return False


@pytest.mark.parametrize("seed", range(1000, 1004))
def test_an_engine_builds_the_same_image(seed: int, tmp_path: Path) -> None:
    if not engine_answers():
        pytest.skip("no docker engine answers")
    rng = random.Random(seed)
    make_tree(tmp_path, rng)
    (tmp_path / ".dockerignore").write_text("**/a\n!a/a.py\nDockerfile\n.dockerignore\n*b\n!b\n")
    (tmp_path / "run.sh").write_text("x")
    (tmp_path / "run.sh").chmod(0o4755)
    tar = b"".join(open_context(tmp_path).stream())
    listings = []
    for args, stdin in (([str(tmp_path)], b""), (["-"], tar)):
        image = docker("build", "-q", "--force-rm", *args, stdin=stdin).decode().strip()
        container = docker("create", image, "x").decode().strip()
        try:
            with tarfile.open(fileobj=io.BytesIO(docker("export", container))) as exported:
                members = {m.name: (m.type, m.mode, m.linkname) for m in exported if not m.isdir()}
            listings.append(members)
        finally:
            docker("rm", "-f", container)
            docker("rmi", "-f", image)
    assert listings[0] == listings[1]
    assert listings[1]["run.sh"][1] & 0o777 == 0o755
    assert "Dockerfile" not in listings[1]
