"""The provisioner as systemd sees it, and what becomes of runs when systemd starts it again."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from support.provisioning import Lab

from labq.provision import RunState


def test_it_says_that_it_is_ready_and_turns_and_no_driver_speaks_for_it(
    idle_lab: Lab, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        idle_lab.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="600000")
        try:
            run_id = idle_lab.ask("slow.yml", limit="a")
            idle_lab.began(run_id, "Install something large")
            (driver,) = idle_lab.drivers(run_id)
            environment = Path(f"/proc/{driver}/environ").read_bytes()
            assert b"NOTIFY_SOCKET" not in environment
            assert b"WATCHDOG" not in environment
            heard = systemd.recv(4096)
            assert heard.startswith(b"READY=1\n")
            while b"WATCHDOG=1" not in heard or b"STATUS=1 runs have not ended" not in heard:
                heard = systemd.recv(4096)
        finally:
            (idle_lab.scratch / "go").touch()
            idle_lab.end(signal.SIGTERM)
        while b"STOPPING=1" not in heard:
            heard = systemd.recv(4096)
    assert idle_lab.ended(run_id).state is RunState.SUCCEEDED
