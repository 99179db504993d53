"""One agent for each data directory, and in a server's only when it shares its files."""

from dataclasses import replace
from pathlib import Path

import pytest

from labq.errors import BadInputError, ConflictError
from labq_worker.config import AgentConfig
from labq_worker.data_dir import check_data_dir, take_data_dir


def config(folder: Path) -> AgentConfig:
    """An agent that shares no files."""
    return AgentConfig(name="n1", data_dir=folder, redis_url="redis://x", server="http://x:1")


def test_an_agent_that_sends_its_files_away_refuses_the_servers_directory(tmp_path: Path) -> None:
    from labq_scheduler.files.layout import DataDir

    own = config(tmp_path)
    check_data_dir(own)
    DataDir(tmp_path).make()
    with pytest.raises(BadInputError, match=r"is the data directory of a labq server") as refused:
        check_data_dir(own)
    assert "--shared-files" in refused.value.next
    check_data_dir(replace(own, shared_files=True))


def test_an_agent_that_shares_files_wants_a_directory_that_a_server_uses(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no labq server has used"):
        check_data_dir(replace(config(tmp_path), shared_files=True))


def test_two_agents_of_different_names_do_not_share_a_directory(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = take_data_dir(folder, "n1")
    with pytest.raises(ConflictError, match=r"the agent of n1 uses"):
        take_data_dir(folder, "n2")
    first.close()
    take_data_dir(folder, "n2").close()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="cannot be used: Not a directory"):
        take_data_dir(tmp_path / "file" / "data", "n1")
