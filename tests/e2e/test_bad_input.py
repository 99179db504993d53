"""Every bad input gets a clear error that quotes it; nothing is lost, nothing half-done."""

from __future__ import annotations

import http.client
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from support.engine import BUSYBOX
from support.lab import BIN, Lab


def refused(lab: Lab, *arguments: str, env: dict[str, str] | None = None) -> str:
    """Run a command that must fail with a message in labq's form, and return the message."""
    result = lab.labq(*arguments, check=False, env=env)
    assert result.returncode not in {0, 70}, result
    assert "Traceback" not in result.stderr
    assert "next:" in result.stderr
    return result.stderr


def failed(lab: Lab, *arguments: str) -> dict[str, object]:
    """Submit a job that must fail, and return its view."""
    job = lab.json("submit", *arguments)
    assert lab.labq("wait", job["id"], "--timeout", "60s", check=False, timeout=90).returncode == 1
    shown: dict[str, object] = lab.json("show", job["id"])
    return shown


def test_a_directory_without_a_dockerfile(shared_lab: Lab, tmp_path: Path) -> None:
    assert "Dockerfile" in refused(shared_lab, "submit", str(tmp_path))
    assert "does-not-exist" in refused(shared_lab, "submit", str(tmp_path / "does-not-exist"))


def test_a_dockerfile_that_fails_to_build_shows_the_line_and_its_output(
    shared_lab: Lab, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {BUSYBOX}\nRUN echo going well\nRUN echo about to fail; exit 7\n"
    )
    result = shared_lab.labq("submit", str(tmp_path), "--follow", check=False)
    assert result.returncode == 1
    text = result.stdout + result.stderr
    assert "going well" in text
    assert "about to fail" in text
    (job,) = shared_lab.json("ls", "--name", tmp_path.name) or [None]
    assert job["end_reason"] == "image_build_failed"
    assert "exit 7" in job["verdict"]
    assert job["gpus"] == []


def test_a_base_image_that_does_not_exist(shared_lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM labq-no-such/base:1\n")
    shown = failed(shared_lab, str(tmp_path))
    assert shown["end_reason"] in {"image_build_failed", "image_not_found"}
    assert "labq-no-such/base:1" in str(shown["verdict"])


def test_an_image_that_does_not_exist(shared_lab: Lab) -> None:
    shown = failed(shared_lab, "--image", "labq-no-such/image:1")
    assert shown["end_reason"] == "image_not_found"
    assert "labq-no-such/image:1" in str(shown["verdict"])


def test_a_command_that_is_not_in_the_image(shared_lab: Lab) -> None:
    shown = failed(shared_lab, "--image", BUSYBOX, "--", "no-such-program")
    assert shown["end_reason"] == "command_not_found"
    assert "no-such-program" in str(shown["verdict"])


def test_an_image_that_dies_at_once(shared_lab: Lab) -> None:
    shown = failed(shared_lab, "--image", BUSYBOX, "--", "sh", "-c", "echo oh no >&2; exit 42")
    assert shown["exit_code"] == 42
    assert "oh no" in str(shown["verdict"])


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--gpus", "8"], "2"),
        (["--gpus", "h100:1"], "RTX 4090"),
        (["--gpus", "80GB+"], "24GB"),
        (["--gpus", "-1"], "'-1'"),
        (["--gpus", "many"], "many"),
        (["--memory", "-4GB"], "'-4GB'"),
        (["--memory", "900TB"], "memory"),
        (["--cpus", "1e99"], "1e99"),
        (["--time", "yesterday"], "'yesterday'"),
        (["--node", "mars"], "mars"),
        (["--mount", "/etc:/data"], "/etc"),
        (["--array", "9-1"], "9-1"),
        (["--array", "0-999999"], "999999"),
        (["--after", "424242"], "424242"),
        (["--priority", "hihg"], "high"),
        (["--gpu", "1"], "--gpus"),
        (["--env", "1A=2"], "1A"),
    ],
)
def test_a_request_that_can_never_run_or_means_nothing_is_refused_at_submit(
    shared_lab: Lab, flags: list[str], says: str
) -> None:
    before = len(shared_lab.json("ls", "--state", "all"))
    assert says in refused(shared_lab, "submit", "--image", BUSYBOX, *flags)
    assert len(shared_lab.json("ls", "--state", "all")) == before


def test_an_unknown_key_in_labq_toml_is_named_with_the_closest(shared_lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {BUSYBOX}\n")
    (tmp_path / "labq.toml").write_text('memroy = "1GB"\n')
    text = refused(shared_lab, "submit", str(tmp_path))
    assert "labq.toml" in text
    assert "'memroy'" in text
    assert "'memory'" in text


def test_a_server_that_is_away_says_what_to_do(shared_lab: Lab) -> None:
    text = refused(shared_lab, "ls", env={"LABQ_SERVER": "http://127.0.0.1:9"})
    assert "127.0.0.1:9" in text
    assert "labq up" in text or "labq doctor" in text


def test_an_unknown_verb_and_job_are_named(shared_lab: Lab) -> None:
    assert "submit" in refused(shared_lab, "sumbit", ".")
    assert "424242" in refused(shared_lab, "show", "424242")
    assert "'no-id'" in refused(shared_lab, "logs", "no-id")


def call(
    lab: Lab, method: str, path: str, token: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, object]]:
    """Speak to the API by hand, as an attacker would."""
    connection = http.client.HTTPConnection("127.0.0.1", lab.port, timeout=20)
    connection.request(
        method,
        path,
        body,
        {"Authorization": f"Bearer {token}", **{k.replace("_", "-"): v for k, v in headers.items()}},
    )
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text[:1] in b"{[" else {}


def test_a_forged_token_or_owner_gets_nowhere(shared_lab: Lab) -> None:
    import tomllib

    lab = shared_lab
    token = tomllib.loads(lab.config.read_text())["token"]
    spec = {"image": BUSYBOX, "command": ["true"]}
    status, body = call(lab, "POST", "/v1/jobs", "labq_forged", json.dumps({"spec": spec}).encode())
    assert (status, body["error"]["code"]) == (401, "no_token")  # type: ignore[index]
    for forged in ({"spec": {**spec, "owner": "root"}}, {"spec": spec, "owner": "root"}):
        status, body = call(lab, "POST", "/v1/jobs", token, json.dumps(forged).encode())
        assert status == 422
        assert "owner" in json.dumps(body)


def _tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    ("member", "says"),
    [
        (_member("/etc/passwd"), "/etc/passwd"),
        (_member("../up"), "../up"),
        (_member("dev", tarfile.CHRTYPE), "dev"),
        (_member("hard", tarfile.LNKTYPE, "../../etc/shadow"), "hard"),
    ],
)
def test_a_hostile_context_is_refused_and_not_kept(
    shared_lab: Lab, member: tarfile.TarInfo, says: str
) -> None:
    import hashlib
    import tomllib

    lab = shared_lab
    token = tomllib.loads(lab.config.read_text())["token"]
    data = _tar((_member("Dockerfile"), b"FROM scratch\n"), (member, b""))
    digest = hashlib.sha256(data).hexdigest()
    status, body = call(
        lab, "PUT", f"/v1/contexts/{digest}", token, data, X_Offset="0", X_Total=str(len(data))
    )
    assert status == 422, body
    assert says in json.dumps(body)
    assert not list(lab.data.glob(f"contexts/{digest}*"))


def test_a_full_disk_on_the_server_keeps_nothing_half(engine: object, tmp_path: Path) -> None:
    import shutil
    import tempfile

    from support.engine import Engine
    from support.lab_fixtures import close_all

    assert isinstance(engine, Engine)
    root = Path(tempfile.mkdtemp(prefix="labq-lab-"))
    (root / "data").mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=160m,mode=0700", "labq-test", str(root / "data")], check=True
    )
    lab = Lab(engine, root)
    try:
        lab.start()
        project = tmp_path / "big"
        project.mkdir()
        (project / "Dockerfile").write_text(f"FROM {BUSYBOX}\nCOPY big /big\n")
        with (project / "big").open("wb") as big:
            big.truncate(200 * 2**20)
        text = refused(lab, "submit", str(project))
        assert "full" in text
        assert not list((root / "data" / "contexts").glob("*"))
        assert lab.json("ls") == []
        (project / "big").write_bytes(b"small now")
        assert lab.labq("submit", str(project), "--follow", "--", "true").returncode == 0
    finally:
        close_all([lab])
        subprocess.run(["umount", str(root / "data")], check=False)
        shutil.rmtree(root, ignore_errors=True)


def test_the_programs_are_where_the_readme_says() -> None:
    for name in ("labq", "labq-scheduler", "labq-worker"):
        assert (BIN / name).exists()
