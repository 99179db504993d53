"""Settings -> ``ExporterConfig``. Pure: reads texts, no files and no clock."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labq.errors import BadInputError
from labq.holding.seal import KEY_PATH
from labq.holding.sockets import DOCKER, PODMAN, engine_sockets
from labq.settings import Settings

#: Seconds: below it the looking itself would be noticed, above it a short job would be missed.
SHORTEST, LONGEST = 0.1, 10.0
#: RFC 793: sixteen bits.
MOST_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterConfig:
    """What the exporter was told."""

    host: str = "127.0.0.1"
    port: int = 9746
    #: seconds between two looks at the GPUs
    interval: float = 1.0
    run_dir: Path = Path("/run/labq")
    #: None = no TLS, no passwords
    web_config: Path | None = None
    #: None = as many as the PCI bus shows
    gpus_expected: int | None = None
    engines: tuple[str, ...] = (DOCKER, PODMAN)
    stamp_key: Path = KEY_PATH


def read_config(settings: Settings, docker_host: str = "") -> ExporterConfig:
    """Return the configuration that the settings say.

    Args:
        settings: the settings in force.
        docker_host: ``DOCKER_HOST`` of this process.

    Raises:
        BadInputError: naming the setting and what is legal.
    """
    interval = settings.seconds("exporter_interval") or 1.0
    if not SHORTEST <= interval <= LONGEST:
        raise BadInputError(
            f"LABQ_EXPORTER_INTERVAL={settings.text('exporter_interval')!r} is not legal",
            f"write a time from {SHORTEST:g} to {LONGEST:g} seconds, such as 1s",
        )
    said = settings.text("exporter_port")
    if not (said.isascii() and said.isdigit() and len(said) < 6 and int(said) <= MOST_PORT):
        raise BadInputError(
            f"LABQ_EXPORTER_PORT={said!r} is no port",
            f"write a number from 0 to {MOST_PORT}, such as 9746; 0 takes any that is free",
        )
    if not settings.text("run_dir") or "\0" in settings.text("run_dir"):
        raise BadInputError(
            f"LABQ_RUN_DIR={settings.text('run_dir')!r} is no directory",
            "write the one that the agent of this machine has, such as /run/labq",
        )
    expected = settings.text("gpus_expected")
    if expected and not (expected.isascii() and expected.isdigit() and len(expected) < 4):
        raise BadInputError(
            f"LABQ_GPUS_EXPECTED={expected!r} is not a number of GPUs", "write 8, or leave it empty"
        )
    return ExporterConfig(
        host=settings.text("exporter_host"),
        port=int(said),
        interval=interval,
        run_dir=settings.path("run_dir"),
        web_config=settings.path("exporter_web_config") if settings.text("exporter_web_config") else None,
        gpus_expected=int(expected) if expected else None,
        engines=engine_sockets(settings.items("engines"), docker_host),
        stamp_key=settings.path("stamp_key"),
    )
