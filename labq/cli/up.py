"""Start labq on this machine: queue, server and agent, for you alone or for a whole lab.

Ctrl-C (or `labq down`) stops it; jobs run on in their containers and are taken up again by the next `labq up`.
Without an NVIDIA GPU, simulated ones can be asked for by name: --gpus sim:2xRTX-4090-24GB,1xA100-80GB
"""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: flag -> (setting, metavar, help)
_FLAGS = {
    "--data-dir": ("data_dir", "DIR", "where everything is kept (~/.local/share/labq)"),
    "--port": ("port", "PORT", "port of the server (7580)"),
    "--host": ("host", "ADDRESS", "address that the server listens on (127.0.0.1); 0.0.0.0 = everybody's"),
    "--gpus": ("gpus", "GPUS", "auto (NVML), none, or simulated: sim:2xRTX-4090-24GB"),
    "--node": ("node", "NAME", "name of this machine (its host name)"),
    "--redis-url": ("redis_url", "URL", "a Redis of your own (else one is started)"),
    "--mounts": ("mounts", "LIST", "directories that jobs may mount: /data:ro,/scratch:rw"),
    "--labels": ("node_labels", "LIST", "labels of this machine: rack=a,group=vision"),
}


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    import argparse

    for flag, (setting, metavar, text) in _FLAGS.items():
        parser.add_argument(flag, dest=setting, metavar=metavar, help=text)
    parser.add_argument(
        "-d", "--detach", action="store_true", help="in the background; return when all is ready"
    )
    parser.add_argument("--report-fd", type=int, help=argparse.SUPPRESS)


def run(options: Any) -> int:
    """Start it, in the foreground or the background."""
    import gc
    import socket
    import sys

    from labq.cli import terminal
    from labq.lab.plan import make_plan
    from labq.settings import Settings

    gc.enable()
    given = {setting: getattr(options, setting) for setting, _, _ in _FLAGS.values()}
    plan = make_plan(Settings(given), socket.gethostname())

    def say(text: str) -> None:
        print(text, file=sys.stdout, flush=True)

    if options.detach:
        from labq.lab import detach

        return detach.start(plan, say)
    from labq.lab.supervisor import Supervisor

    if options.report_fd is not None:
        return _report_to(options.report_fd, plan)
    return Supervisor(plan, say, terminal.note).run(
        lambda started: say("  Ctrl-C stops it; jobs run on") if started else None
    )


def _report_to(descriptor: int, plan: Any) -> int:
    """Run as the background half of --detach."""
    from labq.cli import terminal
    from labq.errors import LabqError
    from labq.lab.detach import Pipe
    from labq.lab.supervisor import Supervisor

    pipe = Pipe(descriptor)
    try:
        return Supervisor(plan, pipe.line, terminal.note).run(pipe.ready)
    except LabqError as error:
        pipe.error(error)
        raise
