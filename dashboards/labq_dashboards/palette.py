"""What colours and words mean, the same on every page."""

from __future__ import annotations

from collections.abc import Mapping

from labq_dashboards.sdk import builders, models

GOOD, WATCH, BAD, QUIET = "green", "orange", "red", "#6e7077"
#: value of `labq_gpu_state` -> its name and colour; 5 is our own, for a GPU of which nothing is known
GPU_STATES: Mapping[int, tuple[str, str]] = {
    0: ("free", GOOD),
    1: ("reserved", "light-blue"),
    2: ("held without use", WATCH),
    3: ("busy", "blue"),
    4: ("lost", BAD),
    5: ("no answer", QUIET),
}
#: the same by the label `state` of `labq_gpu_state_seconds_total`
GPU_SECONDS: Mapping[str, str] = {
    "free": GOOD,
    "reserved": "light-blue",
    "held": WATCH,
    "busy": "blue",
    "lost": BAD,
}
JOB_STATES: Mapping[str, str] = {
    "queued": WATCH,
    "starting": "light-blue",
    "running": "blue",
    "stopping": QUIET,
}
QUEUE, OUTSIDE = "in the queue", "outside"
WAYS: Mapping[str, str] = {QUEUE: "blue", OUTSIDE: WATCH}
#: What admins say when they look at one of these; from NVIDIA's "Xid Errors", in our words.
XIDS: Mapping[str, tuple[str, str]] = {
    "13": ("13 fault of the program", QUIET),
    "31": ("31 bad address by the program", QUIET),
    "43": ("43 the program was ended", QUIET),
    "45": ("45 the program was ended", QUIET),
    "48": ("48 memory error", BAD),
    "62": ("62 firmware stopped", BAD),
    "63": ("63 bad row noted", WATCH),
    "64": ("64 bad row not noted", BAD),
    "74": ("74 NVLink", BAD),
    "79": ("79 fell off the bus", BAD),
    "92": ("92 many corrected errors", WATCH),
    "94": ("94 memory error, contained", WATCH),
    "95": ("95 memory error, not contained", BAD),
    "119": ("119 firmware does not answer", BAD),
    "120": ("120 firmware stopped", BAD),
}
#: A threshold: from this value on (None: from the start), this colour.
Step = tuple[float | None, str]


def steps(*values: Step) -> builders.ThresholdsConfig:
    """Return thresholds in the form of the SDK."""
    return (
        builders.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in values])
    )


def words(meanings: Mapping[str, tuple[str, str]]) -> list[models.ValueMapping]:
    """Return a value mapping: what stands for a value, and its colour."""
    found = {
        value: models.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(meanings.items())
    }
    return [models.ValueMap(options=found)]


def gpu_states() -> list[models.ValueMapping]:
    """Return the mapping of `labq_gpu_state`."""
    return words({str(code): meaning for code, meaning in GPU_STATES.items()})


def own_names(colors: Mapping[str, str]) -> list[models.ValueMapping]:
    """Return a mapping that only colours: each text stands for itself."""
    return words({text: (text, color) for text, color in colors.items()})


def fixed(color: str) -> models.DynamicConfigValue:
    """Return the property of a field that has one colour."""
    return models.DynamicConfigValue(
        id_val="color", value=models.FieldColor(mode=models.FieldColorModeId.FIXED, fixed_color=color)
    )
