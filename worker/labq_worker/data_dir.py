"""Whose the data directory is: one agent's alone, and the server's only when both say so."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from labq.errors import BadInputError, ConflictError
from labq.wire import SERVER_MARKER
from labq_worker.config import AgentConfig


def check_data_dir(config: AgentConfig) -> None:
    """Refuse a data directory that is not what the settings say.

    An agent that sends its files to a server removes what the server has. In the server's own directory the server
    has every file at once, and the agent would remove the only copy.

    Raises:
        BadInputError: it is a server's and the agent shares no files, or the other way round.
    """
    folder, is_servers = config.data_dir, (config.data_dir / SERVER_MARKER).exists()
    if is_servers and not config.shared_files:
        raise BadInputError(
            f"{folder} is the data directory of a labq server ({SERVER_MARKER}), and this agent is to send its files away",
            "give the agent a directory of its own (--data-dir DIR), or let it share this one with the server on "
            f"this machine (--shared-files); remove {SERVER_MARKER} when no server uses the directory any more",
        )
    if config.shared_files and not is_servers:
        raise BadInputError(
            f"no labq server has used {folder} ({SERVER_MARKER} is not there), so nobody would find this agent's files",
            "name the server's directory (--data-dir DIR) and start the server first, or leave out --shared-files "
            "(LABQ_SHARED_FILES) and the agent sends its files to LABQ_SERVER",
        )


def take_data_dir(folder: Path, name: str) -> IO[str]:
    """Lock the directory for this agent until the process ends, whatever its name: it tidies up all that is in it.

    Args:
        folder: the data directory; made when it is missing.
        name: of this agent's node, for whoever finds the directory taken.

    Raises:
        BadInputError: it cannot be used.
        ConflictError: another agent uses it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / "agent.lock").open("a+")
    except OSError as error:
        raise BadInputError(
            f"data directory {folder} cannot be used: {error.strerror}",
            "name a directory that the agent may write: --data-dir DIR",
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        other = handle.read(100).strip() or "another node"
        handle.close()
        raise ConflictError(
            f"the agent of {other} uses {folder}",
            "stop it first (systemctl stop labq-worker), or give this one a directory of its own: --data-dir DIR",
        ) from None
    handle.truncate(0)
    handle.write(name + "\n")
    handle.flush()
    return handle
