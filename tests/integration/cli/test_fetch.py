"""`labq fetch`: what lands where, and what is said of files that are not there."""

import io
import os
import tarfile
from pathlib import Path

from integration.cli.conftest import RunLabq
from integration.cli.fake import ENDED, FakeServer, as_json, error, job


def test_fetch_unpacks_and_says_what_it_left_out(server: FakeServer, labq: RunLabq, tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("model.npz", "../evil"):
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"data"))
    server.add_json("GET", "/v1/jobs/3", job(3))
    server.add("GET", "/v1/jobs/3/outputs", lambda r: (200, {}, out.getvalue()))
    done = labq("fetch", "3")
    assert done.stdout == "labq-outputs/3/model.npz\n"
    assert "left out ../evil" in done.stderr
    assert done.returncode == 1
    assert (tmp_path / "labq-outputs" / "3" / "model.npz").read_bytes() == b"data"
    assert not (tmp_path / "labq-outputs" / "evil").exists()


def outputs(*names: str) -> bytes:
    """A tar of outputs."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    return out.getvalue()


def test_fetch_says_what_is_not_there_and_why(server: FakeServer, labq: RunLabq, tmp_path: Path) -> None:
    waiting = {"state": "queued", "attempt": 0, "started_at": None, "verdict": None}
    tasks = [
        job(0, id="5.0", index=0, **ENDED),
        job(0, id="5.1", index=1),
        job(0, id="5.2", index=2, **waiting),
    ]
    server.add_json("GET", "/v1/jobs/5", {"id": "5", "array": True, "jobs": tasks})
    server.add("GET", "/v1/jobs/5.0/outputs", lambda r: (200, {}, outputs()))
    server.add("GET", "/v1/jobs/5.1/outputs", lambda r: (200, {}, outputs("a")))
    done = labq("fetch", "5")
    assert (done.returncode, done.stdout) == (1, "labq-outputs/5/1/a\n")
    assert done.stderr.splitlines() == [
        "job 5.0 left nothing in /outputs: only what a job writes there is kept",
        "job 5.1 is still running; this is what it has written so far",
        "job 5.2 has not run yet; labq why 5.2 says why it waits",
        "1 file in labq-outputs/5",
    ]
    assert os.listdir(tmp_path / "labq-outputs" / "5") == ["1"]


def test_fetch_of_a_job_without_files_says_so(server: FakeServer, labq: RunLabq, tmp_path: Path) -> None:
    server.add_json("GET", "/v1/jobs/3", job(3, **ENDED))
    for reply in (error(404, "not_found", "left no outputs"), (200, {}, outputs())):
        server.add("GET", "/v1/jobs/3/outputs", lambda r, reply=reply: reply)
        done = labq("fetch", "3")
        said = "job 3 left nothing in /outputs: only what a job writes there is kept\n"
        assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
        assert not (tmp_path / "labq-outputs" / "3").exists()


def test_fetch_waits_for_outputs_that_are_on_their_way(server: FakeServer, labq: RunLabq) -> None:
    away = {
        "error": {
            "code": "conflict",
            "what": "they are on their way",
            "next": "",
            "details": {"retry_after": 0},
        }
    }
    replies = [as_json(409, away), as_json(409, away), (200, {}, outputs("a"))]
    server.add_json("GET", "/v1/jobs/3", job(3, **ENDED))
    server.add("GET", "/v1/jobs/3/outputs", lambda r: replies.pop(0))
    done = labq("fetch", "3")
    assert (done.returncode, done.stdout) == (0, "labq-outputs/3/a\n")
    assert done.stderr.count("they are on their way; waiting for them") == 1
