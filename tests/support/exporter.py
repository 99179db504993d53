"""A real `labq-exporter` on the fake NVML, and what its page says."""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from support.nvml import MockNvml
from support.waiting import wait_for

#: Loopback needs no proxy that this machine may have for the rest of the world.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
#: Labels in the order of their names -> value.
Series = dict[tuple[tuple[str, str], ...], float]


class Page:
    """One page of metrics."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families: dict[str, Series] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self.families.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value

    def rows(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Every series of a family that has these labels."""
        wanted = set(labels.items())
        return [
            (dict(key), value) for key, value in self.families.get(name, {}).items() if wanted <= set(key)
        ]

    def value(self, name: str, **labels: str) -> float | None:
        """The one series that has these labels; None when there is none."""
        found = self.rows(name, **labels)
        assert len(found) <= 1, found
        return found[0][1] if found else None

    def counters(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Every counter of the page but those of the program itself."""
        return {
            (name, key): value
            for name, family in self.families.items()
            if name.startswith("labq_gpu") and name.endswith("_total")
            for key, value in family.items()
        }


class RunningExporter:
    """The program; `restart` begins its next life with the same settings."""

    def __init__(self, nvml: MockNvml, folder: Path, engines: Sequence[str] = (), **settings: str) -> None:
        self.nvml, self.folder, self.run_dir = nvml, folder, folder / "run"
        self.log = folder / "exporter.log"
        self.settings = {
            "LABQ_RUN_DIR": str(self.run_dir),
            "LABQ_ENGINES": ",".join(engines) or str(folder / "no-engine.sock"),
            "LABQ_EXPORTER_PORT": "0",
            "LABQ_EXPORTER_INTERVAL": "0.2",
            "LABQ_STAMP_KEY": str(folder / "stamp.key"),
        } | settings
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> subprocess.Popen[bytes]:
        """Start it without waiting for it to answer."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).with_name("labq-exporter"))],
                env=self.nvml.env() | self.settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self.process

    def start(self) -> "RunningExporter":
        """Start it and wait until it listens."""
        before = self.log.stat().st_size if self.log.exists() else 0
        process = self.begin()

        def listens() -> str:
            assert process.poll() is None, self.tail()
            found = re.search(r"answers at (\S+)/metrics", self.log.read_bytes()[before:].decode())
            return found[1] if found else ""

        self.url = wait_for(listens, 20, "the exporter to listen", hint=self.tail)
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    def get(self, path: str = "/metrics", timeout: float = 5) -> tuple[int, str]:
        """Status and body of a page."""
        try:
            with OPENER.open(self.url + path, timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def page(self) -> Page:
        """What it shows now."""
        status, text = self.get()
        assert status == 200, text
        return Page(text)

    def wait(self, predicate: object, timeout: float = 15, what: str = "the page to say so") -> Page:
        """The first page for which a function of it is true."""
        assert callable(predicate)
        last: list[Page] = []

        def asked() -> Page | None:
            last[:] = [self.page()]
            return last[0] if predicate(last[0]) else None

        found = wait_for(asked, timeout, what, hint=lambda: (last[0].text if last else "") + self.tail())
        assert found is not None
        return found

    def end(self, how: signal.Signals = signal.SIGTERM, timeout: float = 10) -> int:
        """End it with a signal and return its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            os.kill(self.process.pid, how)
        return self.process.wait(timeout)

    def restart(self, how: signal.Signals = signal.SIGTERM) -> "RunningExporter":
        """End it and begin its next life."""
        self.end(how)
        return self.start()

    def close(self) -> None:
        """End it however it does."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-3000:] if self.log.exists() else ""
