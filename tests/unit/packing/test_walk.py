"""What is taken from a directory, and what is refused in words that help."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from labq.packing.errors import PackingError
from labq.packing.pack import open_context


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


@pytest.fixture
def powerless() -> Iterator[None]:
    """Root may read everything; be someone else for a while."""
    if os.getuid():
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def paths(root: Path, dockerfile: str = "Dockerfile") -> list[str]:
    return list(open_context(root, dockerfile).paths())


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")


def test_an_excluded_directory_is_sent_for_what_is_put_back(root: Path) -> None:
    write(root, "a/b/keep", "a/b/drop", "a/c/drop", "d/e")
    (root / ".dockerignore").write_text("*\n!a/b/keep\n")
    (root / "a").chmod(0o750)
    assert paths(root) == [".dockerignore", "Dockerfile", "a/", "a/b/", "a/b/keep"]
    assert open_context(root).found[2].mode == 0o750


def test_a_pruned_directory_is_never_read(root: Path) -> None:
    (root / "secret").mkdir()
    os.mkfifo(root / "secret" / "fifo")
    (root / ".dockerignore").write_text("secret\n!other/*\n")
    assert paths(root) == [".dockerignore", "Dockerfile"]


def test_the_dockerfile_and_its_ignore_file_are_always_sent(root: Path) -> None:
    write(root, "docker/gpu.Dockerfile", "docker/x", "a")
    (root / ".dockerignore").write_text("**")
    assert paths(root, "docker/gpu.Dockerfile") == [
        ".dockerignore",
        "docker/",
        "docker/gpu.Dockerfile",
    ]
    assert paths(root, str(root / "docker" / "gpu.Dockerfile")) == paths(
        root, "./docker/../docker/gpu.Dockerfile"
    )


def test_the_dockerfiles_own_ignore_file_comes_first(root: Path) -> None:
    write(root, "a", "b")
    (root / ".dockerignore").write_text("a\n.dockerignore\n")
    (root / "Dockerfile.dockerignore").write_text("b\nDockerfile*\n")
    assert paths(root) == [".dockerignore", "Dockerfile", "Dockerfile.dockerignore", "a"]


def test_labqs_own_files_are_left_out_unless_they_are_put_back(root: Path) -> None:
    write(root, "labq.toml", "labq-outputs/3/model", "sub/labq.toml", "a")
    assert paths(root) == ["Dockerfile", "a", "sub/", "sub/labq.toml"]
    (root / ".dockerignore").write_text("a\nsub\n!labq.toml\n!labq-outputs\n")
    assert paths(root) == [
        ".dockerignore",
        "Dockerfile",
        "labq-outputs/",
        "labq-outputs/3/",
        "labq-outputs/3/model",
        "labq.toml",
    ]


def test_a_linked_dockerfile_is_sent_with_its_target(root: Path) -> None:
    write(root, "docker/real")
    (root / "Dockerfile").unlink()
    (root / "Dockerfile").symlink_to("docker/real")
    (root / ".dockerignore").write_text("**")
    assert paths(root) == [".dockerignore", "Dockerfile", "docker/", "docker/real"]


def test_links_are_not_followed(root: Path) -> None:
    (root / "up").symlink_to("..")
    (root / "self").symlink_to("self")
    (root / "gone").symlink_to("/nowhere/at/all")
    assert paths(root) == ["Dockerfile", "gone", "self", "up"]


def test_a_very_deep_tree(root: Path) -> None:
    here = os.open(root, os.O_RDONLY)
    try:
        for _ in range(1500):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
    finally:
        os.close(here)
    try:
        with pytest.raises(PackingError, match=r"lies 257 directories deep\. Legal are 256"):
            open_context(root)
        (root / ".dockerignore").write_text("/".join(["*"] * 257))
        assert paths(root)[-1] == "d/" * 256
        (root / ".dockerignore").write_text("d")
        assert paths(root) == [".dockerignore", "Dockerfile"]
    finally:  # pytest's own tidying recurses too deep for it
        subprocess.run(["rm", "-rf", root / "d"], check=True)


@pytest.mark.parametrize(
    ("dockerfile", "said"),
    [
        ("dockerfile", 'dockerfile" does not exist.'),
        ("sub", 'sub" is not a file.'),
        ("../Dockerfile", "is not in the context"),
        ("/etc/passwd", "is not in the context"),
        ("escape", "is not in the context"),
        (".", "is not in the context"),
    ],
)
def test_a_wrong_dockerfile(root: Path, dockerfile: str, said: str) -> None:
    (root / "sub").mkdir()
    (root / "escape").symlink_to("/etc/passwd")
    with pytest.raises(PackingError) as caught:
        open_context(root, dockerfile)
    assert said in caught.value.what
    if "exist" in said:
        assert 'These look like one: "Dockerfile".' in caught.value.next


def test_a_wrong_directory(root: Path) -> None:
    with pytest.raises(PackingError, match="does not exist"):
        open_context(root / "no")
    with pytest.raises(PackingError, match="is not a directory"):
        open_context(root / "Dockerfile")


def test_fifos_and_sockets_are_refused_by_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "a").mkdir()
    os.mkfifo(root / "a" / "pipe\n")
    with pytest.raises(PackingError, match=r'a/pipe\\n" is a fifo'):
        open_context(root)
    (root / ".dockerignore").write_text("a/pipe*")
    open_context(root)
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("sock")
        with pytest.raises(PackingError, match=r'sock" is a socket\. .*\.dockerignore'):
            open_context(root)


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes devices")
def test_devices_are_refused(root: Path) -> None:
    try:
        os.mknod(root / "null", 0o020666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("no devices in this container")
    with pytest.raises(PackingError, match='null" is a character device'):
        open_context(root)


def test_unreadable_files_and_directories(root: Path, powerless: None) -> None:
    base = Path(tempfile.mkdtemp())  # pytest's own directories are closed to others
    try:
        write(base, "Dockerfile", "file", "dir/x")
        (base / "file").chmod(0)
        with pytest.raises(PackingError, match='file" cannot be read: permission denied'):
            open_context(base)
        (base / "file").chmod(0o644)
        context = open_context(base)
        (base / "file").chmod(0)
        with pytest.raises(PackingError, match='file" cannot be read: permission denied'):
            context.digest()
        (base / "file").unlink()
        (base / "dir").chmod(0)
        with pytest.raises(PackingError, match='dir" cannot be read: permission denied'):
            open_context(base)
        (base / ".dockerignore").write_text("dir")
        open_context(base)
    finally:
        (base / "dir").chmod(0o755)
        for path in sorted(base.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        base.rmdir()


def test_an_ignore_file_that_cannot_be_read(root: Path) -> None:
    (root / ".dockerignore").mkdir()
    with pytest.raises(PackingError, match=r'\.dockerignore" cannot be read: Is a directory'):
        open_context(root)
