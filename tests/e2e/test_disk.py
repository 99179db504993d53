"""`--disk` from the command line to the node and back: refused, told, shown, enforced by the queue."""

from __future__ import annotations

from support.engine import BUSYBOX
from support.lab import Lab
from support.waiting import wait_for


def test_what_no_disk_holds_is_refused_and_what_waits_for_disk_is_told_for_whom(shared_lab: Lab) -> None:
    def told() -> int | None:
        (node,) = shared_lab.json("nodes")
        size: int | None = node["disk"]
        return size

    size = wait_for(told, 20, "the node to tell its disk")
    assert size is not None
    much, most = f"{size // 2**30 * 2}GB", f"{size * 3 // 4 // 2**20}MB"
    refused = shared_lab.labq(
        "submit", "--dry-run", "--image", BUSYBOX, "--disk", much, "--", "true", check=False
    )
    assert f"no node has {much} of disk for jobs" in refused.stdout + refused.stderr
    first = shared_lab.json("submit", "--image", BUSYBOX, "--gpus", "0", "--disk", most, "--", "sleep", "60")
    wait_for(lambda: shared_lab.json("show", first["id"])["state"] == "running", 30, "the first to run")
    assert shared_lab.json("show", first["id"])["disk"] == size * 3 // 4 // 2**20 * 2**20
    assert "disk" in shared_lab.labq("nodes").stdout
    second = shared_lab.json("submit", "--image", BUSYBOX, "--gpus", "0", "--disk", most, "--", "true")
    wait_for(
        lambda: "of disk free" in (shared_lab.json("show", second["id"])["why"] or ""), 20, "it to be told"
    )
    assert first["id"] in shared_lab.json("show", second["id"])["why"]
    shared_lab.labq("cancel", first["id"])
    assert shared_lab.labq("wait", second["id"], "--timeout", "60s", timeout=90).returncode == 0
