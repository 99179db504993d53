"""Files to a server on another machine: logs while they grow, outputs when the attempt is over.

What is on our disk is what the server does not have yet: it is removed when the server has it. So an agent that
was killed finds at its next start what is left to bring (:meth:`Shipper.bring_leftovers`).
"""

from __future__ import annotations

import logging
import os
import queue
import shutil
import threading
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import IO

from labq.logfile import HEADER, MAX_PAYLOAD, REMARK, STDERR, STDOUT
from labq.outputs_tar import tar_of_directory
from labq_worker.paths import Paths
from labq_worker.server import Server, ServerError

log = logging.getLogger(__name__)
#: Seconds for which growth is gathered into one request.
BATCH = 0.1
#: Bytes of one request.
MOST = 4 * 2**20
#: Seconds that the end of a job waits for a server that does not take its log; then it is brought later.
PATIENCE = 30.0
RETRY_FIRST, RETRY_MOST = 0.5, 30.0


class LogSender:
    """Sends one log file, piece by piece; the server's size says where to go on."""

    def __init__(self, server: Server, path: Path, name: str) -> None:
        """Begin at 0; the server says when it has more.

        Args:
            server: where to.
            path: the file.
            name: its path below the server's ``logs``.
        """
        self._server, self.path, self._name = server, path, name
        self.sent = 0
        #: bytes of whole frames, as far as they were looked at
        self._whole = 0

    def send(self, connection: HTTPConnection) -> bool:
        """Send whole frames, about ``MOST`` bytes; return whether there may be more.

        Never a part of one: a writer that dies leaves a torn frame, and the next writer puts another in its place.

        Raises:
            ServerError: it did not take it.
        """
        try:
            with self.path.open("rb") as handle:
                end = self._end_of_frames(handle)
                handle.seek(self.sent)
                data = handle.read(max(0, end - self.sent))
        except FileNotFoundError:
            return False
        if not data:
            return False
        headers = {"X-Offset": str(self.sent), "Content-Type": "application/octet-stream"}
        try:
            path = f"/v1/agent/logs/{self._name}"
            self._server.put(connection, path, data, headers)
        except ServerError as error:
            size = error.details.get("size")
            if error.status == 409 and isinstance(size, int) and size != self.sent:
                self.sent = size
                return True
            raise
        self.sent += len(data)
        return True

    def _end_of_frames(self, handle: IO[bytes]) -> int:
        """Return where the last whole frame ends, looking at most ``MOST`` bytes ahead of what was sent."""
        size = os.fstat(handle.fileno()).st_size
        handle.seek(self._whole)
        while self._whole < self.sent + MOST and len(head := handle.read(HEADER.size)) == HEADER.size:
            stream, _, length = HEADER.unpack(head)
            end = self._whole + HEADER.size + length
            if end > size or length > MAX_PAYLOAD or stream not in {STDOUT, STDERR, REMARK}:
                break
            self._whole = end
            handle.seek(end)
        return self._whole


class Shipper:
    """Brings logs and outputs; one thread for logs, one for outputs."""

    sends = True

    def __init__(self, paths: Paths, server: Server) -> None:
        """Start the threads."""
        self._paths, self._server = paths, server
        self._logs: dict[Path, LogSender] = {}
        self._grown: set[Path] = set()
        self._finished: dict[Path, threading.Event] = {}
        self._changed = threading.Condition()
        self._outputs: queue.Queue[tuple[str, int]] = queue.Queue()
        threading.Thread(target=self._send_logs, name="ship-logs", daemon=True).start()
        threading.Thread(target=self._send_outputs, name="ship-outputs", daemon=True).start()

    def grew(self, path: Path) -> None:
        """A log file has grown: send it soon."""
        with self._changed:
            self._grown.add(path)
            self._changed.notify()

    def finish_log(self, path: Path) -> None:
        """Return when the server has the whole file, or after ``PATIENCE`` seconds; it is removed when it has."""
        with self._changed:
            done = self._finished.setdefault(path, threading.Event())
            self._grown.add(path)
            self._changed.notify()
        if not done.wait(PATIENCE):
            log.warning("%s: the server does not take it; it is brought later", path.name)

    def outputs(self, job_id: str, attempt: int) -> None:
        """Bring the outputs as soon as the server takes them."""
        self._outputs.put((job_id, attempt))

    def bring_leftovers(
        self, in_work: Callable[[], set[str]], is_written: Callable[[Path], bool] = lambda _: False
    ) -> None:
        """Bring what an agent that died had not brought.

        Args:
            in_work: returns the ids of jobs in work, whose files are brought at their end; asked after looking.
            is_written: says whether this log of an image is being written: it is brought at its end.
        """
        folders = [f for f in (self._paths.root / "outputs").glob("*/*") if f.is_dir() and f.name.isdigit()]
        logs = list((self._paths.root / "logs").glob("*/*.labqlog"))
        keep = in_work()
        for folder in folders:
            if folder.parent.name not in keep:
                self.outputs(folder.parent.name, int(folder.name))
        with self._changed:
            for path in logs:
                if path.parent.name not in keep and not is_written(path):
                    self._finished.setdefault(path, threading.Event())
                    self._grown.add(path)
            self._changed.notify()

    def _send_logs(self) -> None:
        connection, wait = self._server.connect(), RETRY_FIRST
        pause = threading.Event()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._grown))
                grown, self._grown = self._grown, set()
            for path in grown:
                try:
                    self._send_one(connection, path)
                    wait = RETRY_FIRST
                except Exception as error:
                    if not isinstance(error, ServerError):
                        log.exception("%s: a fault of labq's own", path.name)
                    log.warning("%s: %s; trying again", path.name, error)
                    connection.close()
                    self.grew(path)
                    pause.wait(wait)
                    wait = min(RETRY_MOST, wait * 2)
            pause.wait(BATCH)

    def _send_one(self, connection: HTTPConnection, path: Path) -> None:
        with self._changed:
            done = self._finished.get(path)
        sender = self._logs.get(path)
        if sender is None:
            sender = self._logs[path] = LogSender(self._server, path, f"{path.parent.name}/{path.name}")
        while sender.send(connection):
            continue
        if done is not None:
            self._logs.pop(path, None)
            with self._changed:
                self._finished.pop(path, None)
            path.unlink(missing_ok=True)
            done.set()

    def _send_outputs(self) -> None:
        pause, wait = threading.Event(), RETRY_FIRST
        while True:
            job_id, attempt = self._outputs.get()
            folder = self._paths.outputs(job_id, attempt)
            if not folder.is_dir():
                continue
            try:
                left_out = self._send_folder(f"/v1/agent/outputs/{job_id}/{attempt}", folder)
                _put_away(folder, left_out)
                wait = RETRY_FIRST
            except Exception as error:
                if not isinstance(error, ServerError):
                    log.exception("outputs of job %s attempt %d: a fault of labq's own", job_id, attempt)
                log.warning("outputs of job %s attempt %d: %s; trying again", job_id, attempt, error)
                # To the end of the line: one that the server refuses must not hold up the others.
                self._outputs.put((job_id, attempt))
                pause.wait(wait)
                wait = min(RETRY_MOST, wait * 2)

    def _send_folder(self, path: str, folder: Path) -> list[str]:
        """Send all that can be read; return what cannot."""
        connection, left_out = self._server.connect(), list[str]()
        try:
            headers = {"Content-Type": "application/x-tar"}
            self._server.put(connection, path, tar_of_directory(folder, left_out), headers)
        finally:
            connection.close()
        return left_out


def _put_away(folder: Path, left_out: list[str]) -> None:
    """Remove outputs that the server has; keep them when it could not be given everything.

    Under another name first: what a removal leaves over would be sent at the next start, in place of the whole.
    """
    sent = folder.with_name(f"{folder.name}.{'left-out' if left_out else 'sent'}")
    shutil.rmtree(sent, ignore_errors=True)
    folder.rename(sent)
    if left_out:
        log.warning("%d outputs cannot be read (%s, …); all are kept in %s", len(left_out), left_out[0], sent)
    else:
        shutil.rmtree(sent, ignore_errors=True)
