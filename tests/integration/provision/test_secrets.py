"""A secret of the vault stays where the play puts it: in no artifact, key of Redis, log or command line."""

from __future__ import annotations

from pathlib import Path

from support.provisioning import PLANTED, Lab

from labq.provision import RunState


def test_a_planted_secret_is_told_nowhere(lab: Lab, tmp_path: Path) -> None:
    lab.plant()
    run = lab.ended(lab.ask("secret.yml", diff=True))
    assert run.state is RunState.FAILED
    assert {one.task for one in run.failures} == {"Read it"}
    assert all("no_log" in one.message for one in run.failures)
    holders = {
        path for path in tmp_path.rglob("*") if path.is_file() and PLANTED.encode() in path.read_bytes()
    }
    assert holders == {lab.scratch / "a.secret", lab.scratch / "b.secret"}
    client = lab.store.connection.client
    assert client.dbsize() > 2
    said = [str(client.hgetall(key)) for key in client.scan_iter("*", _type="hash")]
    said += [str(client.lrange(key, 0, -1)) for key in client.scan_iter("*", _type="list")]
    assert any("Read it" in text for text in said)
    assert not any(PLANTED in text for text in said)


def test_what_ansible_prints_is_in_no_file_while_it_runs_either(lab: Lab) -> None:
    run_id = lab.ask("slow.yml", limit="a")
    lab.began(run_id, "Install something large")
    names = {path.name for path in (lab.root / "runs" / run_id).rglob("*") if path.is_file()}
    assert "stdout" not in names
    assert "log" in names
    (lab.scratch / "go").touch()
    lab.ended(run_id)


def test_the_password_of_redis_reaches_neither_ansible_nor_its_files(lab: Lab) -> None:
    run_id = lab.ask("slow.yml", limit="a")
    lab.began(run_id, "Install something large")
    pids = lab.orderers(run_id)
    assert pids
    for pid in pids:
        assert b"LABQ_REDIS_URL" not in Path(f"/proc/{pid}/environ").read_bytes()
    kept = [path for path in (lab.root / "runs" / run_id).rglob("*") if path.is_file()]
    assert not any(lab.url.encode() in path.read_bytes() for path in kept)
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept)
    (lab.scratch / "go").touch()
    lab.ended(run_id)
