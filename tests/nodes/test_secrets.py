"""What is secret is where it is needed and nowhere else, after all that the tests before did."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from nodes.conftest import Provisioned

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def secrets(whole: Provisioned) -> dict[str, str]:
    """Each by what it is: of the vault, of the lab, and what joining made."""
    found = dict(whole.lab.planted)
    for name, node in whole.nodes.items():
        lines = node.run("cat /etc/labq/node.env").splitlines()
        (found[f"token of {name}"],) = [
            line.partition("=")[2].strip('"') for line in lines if line.startswith("LABQ_NODE_TOKEN=")
        ]
        (url,) = [line.partition("=")[2] for line in lines if line.startswith("LABQ_REDIS_URL=")]
        user, password = urlsplit(url).username, urlsplit(url).password
        # Its own, and not the lab's.
        assert user == f"node-{name}"
        assert password is not None
        assert password != found["redis"]
        found[f"password of {name}"] = password
    assert all(len(secret) > 15 for secret in found.values())
    return found


def test_no_secret_is_in_an_artifact_of_a_run_or_in_a_log(
    whole: Provisioned, secrets: dict[str, str]
) -> None:
    lab = whole.lab
    # Where each one must be: Redis' own files, the files that name it, people's and Prometheus' configuration.
    own = [lab.directory / name for name in ("redis.conf", "redis-url", "appendonly.aof", "prometheus")]
    assert list((lab.lab_dir / "runs").iterdir())
    for what, secret in secrets.items():
        assert lab.files_that_say(secret, *own) == [], what


def test_no_secret_was_in_a_process_list_while_plays_ran(whole: Provisioned, secrets: dict[str, str]) -> None:
    seen = whole.lab.watch.seen
    assert any("ansible-playbook" in line for line in seen)
    for what, secret in secrets.items():
        assert [line for line in seen if secret in line] == [], what


def test_no_secret_is_in_what_redis_keeps_events_of_runs_included(
    whole: Provisioned, secrets: dict[str, str]
) -> None:
    store = whole.lab.store()
    client = store.connection.client
    read = {
        "string": client.get,
        "hash": client.hgetall,
        "list": lambda key: client.lrange(key, 0, -1),
        "set": client.smembers,
        "zset": lambda key: client.zrange(key, 0, -1),
        "stream": client.xrange,
    }
    kept = "\n".join(f"{key}: {read[client.type(key)](key)}" for key in client.scan_iter("labq:*"))
    store.connection.close()
    assert "labq:provision:events:1" in kept
    for what, secret in secrets.items():
        assert secret not in kept, what


def test_on_a_node_secrets_are_in_files_of_root_and_no_container_is_told(
    whole: Provisioned, secrets: dict[str, str]
) -> None:
    for name, node in whole.nodes.items():
        job = whole.lab.submit(node=f"rack={name[-1]}", script="env; sleep 60")
        whole.lab.running(job)
        told = (
            node.run("docker inspect $(docker ps -aq)")
            + node.run("journalctl --no-pager")
            + whole.lab.labq("logs", job).stdout
        )
        whole.lab.labq("cancel", job)
        places = node.run(
            "grep -rlaF -e \"$(sed -n 's/^LABQ_NODE_TOKEN=//p' /etc/labq/node.env)\" /etc /opt /root /home /tmp /var/lib/labq-node || true"
        )
        assert places == "/etc/labq/node.env"
        assert (
            node.run("stat -c '%a %U' /etc/labq/node.env /etc/labq/exporter-web.yml") == "600 root\n600 root"
        )
        for what, secret in secrets.items():
            assert secret not in told, f"{what} on {name}"


def test_the_vault_is_encrypted_on_disk(whole: Provisioned) -> None:
    vault = Path(whole.lab.lab_dir / "inventory" / "group_vars" / "all" / "vault.yml")
    assert vault.read_text().startswith("$ANSIBLE_VAULT;")
