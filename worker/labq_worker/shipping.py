"""Files to a server on another machine: logs while they grow, outputs when the attempt is over.

What is on our disk is what the server does not have yet: it is removed when the server has it. So an agent that
was killed finds at its next start what is left to bring (:meth:`Shipper.bring_leftovers`).
"""

from __future__ import annotations

import logging
import queue
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

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

    def send(self, connection: HTTPConnection) -> bool:
        """Send what there is, at most ``MOST``; return whether there may be more.

        Raises:
            ServerError: it did not take it.
        """
        try:
            with self.path.open("rb") as handle:
                handle.seek(self.sent)
                data = handle.read(MOST)
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


class Shipper:
    """Brings logs and outputs; one thread for logs, one for outputs."""

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

    def bring_leftovers(self, in_work: Callable[[], set[str]]) -> None:
        """Bring what an agent that died had not brought.

        Args:
            in_work: returns the ids of jobs in work, whose files are brought at their end; asked after looking.
        """
        folders = [f for f in (self._paths.root / "outputs").glob("*/*") if f.is_dir() and f.name.isdigit()]
        logs = list((self._paths.root / "logs").glob("*/*.labqlog"))
        keep = in_work()
        for folder in folders:
            if folder.parent.name not in keep:
                self.outputs(folder.parent.name, int(folder.name))
        with self._changed:
            for path in logs:
                if path.parent.name not in keep:
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
                self._send_folder(f"/v1/agent/outputs/{job_id}/{attempt}", folder)
                shutil.rmtree(folder, ignore_errors=True)
                wait = RETRY_FIRST
            except Exception as error:
                if not isinstance(error, ServerError):
                    log.exception("outputs of job %s attempt %d: a fault of labq's own", job_id, attempt)
                log.warning("outputs of job %s attempt %d: %s; trying again", job_id, attempt, error)
                # To the end of the line: one that the server refuses must not hold up the others.
                self._outputs.put((job_id, attempt))
                pause.wait(wait)
                wait = min(RETRY_MOST, wait * 2)

    def _send_folder(self, path: str, folder: Path) -> None:
        connection = self._server.connect()
        try:
            headers = {"Content-Type": "application/x-tar"}
            self._server.put(connection, path, tar_stream(folder), headers)
        finally:
            connection.close()


class _Pipe:
    """What tarfile writes to: hands each piece on, holding few."""

    def __init__(self) -> None:
        self.pieces: queue.Queue[bytes | BaseException | None] = queue.Queue(16)
        self.closed = False

    def write(self, data: bytes) -> int:
        if self.closed:
            raise BrokenPipeError
        self.pieces.put(bytes(data))
        return len(data)


def tar_stream(folder: Path) -> Iterator[bytes]:
    """Yield a tar of the folder's content as it is read; nothing of it is held."""
    pipe = _Pipe()

    def pack(write_to: Any, tell: Callable[[BaseException | None], None]) -> None:
        try:
            with tarfile.open(fileobj=write_to, mode="w|", bufsize=2**18, format=tarfile.PAX_FORMAT) as tar:
                for path in sorted(folder.rglob("*")):
                    _add(tar, path, str(path.relative_to(folder)))
            tell(None)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the reader's thread
            tell(error)

    threading.Thread(target=pack, args=(pipe, pipe.pieces.put), name="tar", daemon=True).start()
    try:
        while (piece := pipe.pieces.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        pipe.closed = True
        while not pipe.pieces.empty():
            pipe.pieces.get_nowait()


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """Add a file, a directory or a symbolic link as such; sockets, pipes and devices are left out."""
    # Else a second name of a file would become a hard link, which careful receivers refuse.
    tar.inodes.clear()  # type: ignore[attr-defined]
    entry = tar.gettarinfo(str(path), name)
    if entry.isreg():
        with path.open("rb") as handle:
            tar.addfile(entry, handle)
    elif entry.isdir() or entry.issym():
        tar.addfile(entry)
