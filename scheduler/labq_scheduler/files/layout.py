"""Which file is where in the data directory. Nothing else spells a path of it."""

from __future__ import annotations

import re
from pathlib import Path

from labq import __version__, wire
from labq.errors import BadInputError
from labq.ids import check_job_id
from labq.rules.read import USUAL_NAME
from labq.spec_values import context_digest

_LOG_PATH = re.compile(r"^(?:images/[\w.:@+-]{1,240}|\d{1,12}(?:\.\d{1,7})?/\d{1,6})\.labqlog\Z", re.ASCII)


class DataDir:
    """The server's data directory."""

    def __init__(self, root: Path) -> None:
        """Use ``root``; :meth:`make` creates what is missing."""
        self.root = root
        self.contexts = root / "contexts"
        self.logs = root / "logs"
        self.outputs = root / "outputs"
        #: the lab's rules, unless another file is named; and a copy of the last that were good
        self.rules, self.good_rules = root / USUAL_NAME, root / "rules.last-good.toml"

    def make(self) -> None:
        """Create the directories, private to the server's user.

        Raises:
            BadInputError: when the data directory cannot be made.
        """
        try:
            for path in (self.root, self.contexts, self.logs, self.logs / "images", self.outputs):
                path.mkdir(parents=True, exist_ok=True, mode=0o750)
            # An agent looks for it (labq_worker/data_dir.py): one that sends its files away must not do so from here.
            (self.root / wire.SERVER_MARKER).write_text(f'{{"labq": "server", "version": "{__version__}"}}\n')
        except OSError as error:
            raise BadInputError(
                f"LABQ_DATA_DIR {str(self.root)!r} cannot be used: {error.strerror}",
                "name a directory that this user may write: --data-dir DIR",
            ) from None

    def context(self, digest: str) -> Path:
        """Return the tar of a build context."""
        return self.contexts / f"{context_digest(digest)}.tar"

    def log(self, job_id: str, attempt: int) -> Path:
        """Return the log of one attempt."""
        return self.logs / wire.run_log_name(check_job_id(job_id), attempt)

    def build_log(self, image_key: str, node: str, run: int) -> Path:
        """Return the log of one preparation of an image on a node."""
        return self.logs / wire.image_log_name(image_key, node, run)

    def sent_log(self, path: str) -> Path:
        """Return the file for a path that an agent names: ``<job>/<attempt>.labqlog`` or ``images/<name>.labqlog``.

        Raises:
            BadInputError: when the path has neither form.
        """
        if not _LOG_PATH.match(path) or ".." in path:
            raise BadInputError(
                f"log path {path[:300]!r} is not legal",
                "send to <job>/<attempt>.labqlog or images/<key>@<node>-<run>.labqlog",
            )
        return self.logs / path

    def output_dir(self, job_id: str, attempt: int) -> Path:
        """Return the directory into which a container on this machine wrote its outputs."""
        return self.outputs / check_job_id(job_id) / str(attempt)

    def output_tar(self, job_id: str, attempt: int) -> Path:
        """Return the tar of outputs that a remote agent sent."""
        return self.outputs / check_job_id(job_id) / f"{attempt}.tar"
