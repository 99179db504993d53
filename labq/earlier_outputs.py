"""With what an attempt's ``/outputs`` begins: what the last attempt before it left, as far as that is whole.

Lives here: which file or directory that is, for the server, and for an agent that shares the server's directory.
"""

from __future__ import annotations

from pathlib import Path

from labq.job import Attempt, Job


def earlier_outputs(job: Job, number: int, folder: Path, node: str = "") -> tuple[Attempt, Path] | None:
    """Return the attempt that attempt ``number`` goes on from, and its outputs: a directory, or a tar that was sent.

    An attempt that never ran left nothing; one whose outputs did not arrive whole is passed over, and the one before
    it counts. Empty outputs are outputs: an attempt that cleared away was meant to.

    Args:
        job: the job.
        number: of the attempt that is to begin.
        folder: the job's outputs in the server's data directory.
        node: the node that asks, if it writes into that directory itself; "" = another.
    """
    for run in reversed(job.attempts):
        if run.number >= number or run.started_at is None:
            continue
        directory, tar = folder / str(run.number), folder / f"{run.number}.tar"
        # A node that was lost may still run its container, which writes there. Without an exit code nobody has seen
        # its end; on the node itself what has no lease is ended before anything else is begun.
        over = run.exit_code is not None or run.node == node
        if directory.is_dir():
            if over:
                return run, directory
        elif tar.is_file():
            return run, tar
    return None
