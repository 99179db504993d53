#!/usr/bin/env python3
"""On a machine with a real NVIDIA GPU: is a person's CUDA process named, with its memory, within 2 s?

Not part of `make test`. As root, on the machine itself (not in a container), with labq[exporter] installed:

    python tests/gpu/named_within_2s.py --user alice

It starts an exporter of its own on a free port, and as that person a process that takes 512 MiB on the first GPU
through libcuda (no toolkit, no torch); waits until the page names the person; and compares with
`nvidia-smi --query-compute-apps`. It prints what it saw and ends with 0 when all agrees, 1 when not, 77 when there is
nothing to try it on.
"""

from __future__ import annotations

import argparse
import ctypes
import inspect
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import NoReturn

MIB = 2**20
#: A CUDA context of its own takes 200 to 500 MiB beside this.
TAKEN = 512 * MIB
BAR = 2.0
CANNOT = 77


def hold() -> None:
    """The person's process: take memory, say so, keep it until standard input ends."""
    cuda = ctypes.CDLL("libcuda.so.1")
    device, context, pointer = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
    # The _v2 names are those that cuda.h's macros give these calls: 64-bit sizes and pointers.
    for name, arguments in (
        ("cuInit", (0,)),
        ("cuDeviceGet", (ctypes.byref(device), 0)),
        ("cuCtxCreate_v2", (ctypes.byref(context), 0, device)),
        ("cuMemAlloc_v2", (ctypes.byref(pointer), ctypes.c_size_t(TAKEN))),
    ):
        status = getattr(cuda, name)(*arguments)
        if status:
            sys.exit(f"{name} failed with CUresult {status}")
    print("held", flush=True)
    sys.stdin.read()


def cannot(why: str) -> NoReturn:
    """End: nothing was tried."""
    print(f"not tried: {why}")
    sys.exit(CANNOT)


def page(url: str) -> str:
    """Return the exporter's page."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as answer:
        return str(answer.read().decode())


def memory_of(text: str, user: str) -> dict[str, float]:
    """Return GPU uuid -> bytes that the page says the person has."""
    found: dict[str, float] = {}
    for labels, value in re.findall(r"^labq_gpu_user_memory_used_bytes\{(.*)\} (\S+)$", text, re.M):
        said = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if said["user"] == user:
            found[said["uuid"]] = float(value)
    return found


def smi(pid: int) -> dict[str, float]:
    """Return GPU uuid -> bytes that nvidia-smi says the process has."""
    asked = ["nvidia-smi", "--query-compute-apps=pid,gpu_uuid,used_memory", "--format=csv,noheader,nounits"]
    rows = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    cells = [[cell.strip() for cell in each.split(",")] for each in rows]
    return {uuid: float(mib) * MIB for found, uuid, mib in cells if found == str(pid) and mib[0].isdigit()}


def exporter(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start an exporter; return it and the address of its page."""
    log = folder / "log"
    program = shutil.which("labq-exporter", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        cannot("labq-exporter is not installed: pip install 'labq[exporter]'")
    with log.open("wb") as file:
        settings = {"LABQ_RUN_DIR": str(folder / "run"), "LABQ_EXPORTER_PORT": "0"}
        process = subprocess.Popen([program], env=os.environ | settings, stdout=file, stderr=file)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"answers at (\S+)", log.read_text()):
            return process, found[1]
        time.sleep(0.1)
    process.kill()
    sys.exit(f"the exporter did not start: {log.read_text()}")


def try_it(user: str, url: str) -> bool:
    """Start the person's process and compare; print each figure."""
    print(re.findall(r"^labq_exporter_build_info.*|^labq_gpu_info.*", page(url), re.M))
    before = memory_of(page(url), user)
    if before:
        cannot(f"{user} is on a GPU already: {before}; choose another person")
    account = pwd.getpwnam(user)
    # Neither this file nor a virtual environment need be the person's to read.
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    source = inspect.getsource(hold)
    command = [python, "-c", f"import ctypes, sys\nTAKEN = {TAKEN}\n{source}\nhold()"]
    holder = subprocess.Popen(
        command, user=account.pw_uid, group=account.pw_gid, extra_groups=[], cwd="/",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        if holder.stdout.readline() != "held\n":
            print("the CUDA process failed")
            return False
        began = time.monotonic()
        while not (said := memory_of(page(url), user)) and time.monotonic() < began + 10:
            time.sleep(0.02)
        took = time.monotonic() - began
        told = smi(holder.pid)
        print(f"named {user} after {took:.2f} s (bar {BAR:g} s)")
        print(f"the page   {said}\nnvidia-smi {told}")
        # nvidia-smi writes whole MiB.
        same = said.keys() == told.keys() and all(abs(said[uuid] - told[uuid]) <= MIB for uuid in said)
        return bool(said) and took <= BAR and same and min(said.values()) >= TAKEN
    finally:
        holder.kill()
        holder.wait()


def main() -> int:
    """Try it, or say why not."""
    asked = argparse.ArgumentParser(description="Is a person's CUDA process named within 2 s?")
    asked.add_argument("--user", required=True, help="an account of a person (uid 1000 to 60000)")
    user = asked.parse_args().user
    if os.geteuid() != 0:
        cannot("this needs root, to start a process as another person")
    if shutil.which("nvidia-smi") is None or subprocess.run(["nvidia-smi", "-L"], check=False).returncode:
        cannot("there is no NVIDIA GPU here (nvidia-smi -L fails)")
    try:
        ctypes.CDLL("libcuda.so.1")
        pwd.getpwnam(user)
    except OSError as error:
        cannot(f"libcuda.so.1: {error}")
    except KeyError:
        cannot(f"there is no account {user!r}")
    with tempfile.TemporaryDirectory() as folder:
        process, url = exporter(Path(folder))
        try:
            time.sleep(3)  # it has seen the GPUs before the person comes, as in life
            good = try_it(user, url)
        finally:
            process.terminate()
            process.wait(10)
    print("all agrees" if good else "it does NOT agree")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
