"""The flags that say a spec: shared by `labq submit` and `labq rerun`.

The table here is static, since importing ``labq.spec`` takes 20 ms; a test holds it equal to ``FIELDS``.
Help texts are taken from ``FIELDS`` only when help is asked for.
"""

from __future__ import annotations

from labq.cli.parser import Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Keys of a spec that no flag sets: the context is uploaded, the command stands behind ``--``.
WITHOUT_FLAG = ("context", "command")
#: flag -> (key of the spec, kind). Kinds: "text"; "list" (may be repeated), "commas" (repeated or
#: comma-separated), "map" (NAME=VALUE, repeated), "env", "secret", "moment", "switch".
FLAGS: dict[str, tuple[str, str]] = {
    "--image": ("image", "text"),
    "--gpus": ("gpus", "text"),
    "--cpus": ("cpus", "text"),
    "--memory": ("memory", "text"),
    "--disk": ("disk", "text"),
    "--shm": ("shm", "text"),
    "--time": ("time", "text"),
    "--grace": ("grace", "text"),
    "--env": ("env", "env"),
    "--secret": ("secrets", "secret"),
    "--mount": ("mounts", "list"),
    "--priority": ("priority", "text"),
    "--after": ("after", "commas"),
    "--not-before": ("not_before", "moment"),
    "--retries": ("retries", "text"),
    "--preemptible": ("preemptible", "switch"),
    "--interactive": ("interactive", "switch"),
    "--node": ("nodes", "commas"),
    "--name": ("name", "text"),
    "--tag": ("tags", "commas"),
    "--note": ("note", "text"),
    "--seed": ("seed", "text"),
    "--dockerfile": ("dockerfile", "text"),
    "--build-arg": ("build_args", "map"),
    "--entrypoint": ("entrypoint", "text"),
    "--workdir": ("workdir", "text"),
}
#: Every key of a spec; labq.toml may also say ``array``.
KEYS = tuple(sorted([*(key for key, _ in FLAGS.values()), *WITHOUT_FLAG]))
_METAVARS = {"map": "NAME=VALUE", "env": "NAME[=VALUE]", "secret": "NAME[=FILE]", "moment": "WHEN"}


def declare(parser: Parser) -> None:
    """Declare a flag for each row."""
    texts = _help_texts() if parser.wants_help else {}
    for flag, (key, kind) in FLAGS.items():
        help_text = texts.get(key, "")
        if kind == "switch":
            _declare_switch(parser, flag, key, help_text)
            continue
        metavar = _METAVARS.get(kind, flag.lstrip("-").upper().replace("-", "_"))
        action = "store" if kind in {"text", "moment"} else "append"
        parser.add_argument(flag, dest=f"spec_{key}", metavar=metavar, action=action, help=help_text)


def given(options: Any) -> dict[str, Any]:
    """Return the raw values of those flags that were given, by key of the spec."""
    found = {key: getattr(options, f"spec_{key}") for key, _ in FLAGS.values()}
    return {key: value for key, value in found.items() if value is not None}


def _declare_switch(parser: Parser, flag: str, key: str, help_text: str) -> None:
    parser.add_argument(flag, dest=f"spec_{key}", action="store_const", const=True, help=help_text)
    negative = "--no-" + flag.lstrip("-")
    parser.add_argument(
        negative,
        dest=f"spec_{key}",
        action="store_const",
        const=False,
        help=f"Not {flag}, whatever labq.toml says.",
    )


def _help_texts() -> dict[str, str]:
    from labq.spec import FIELDS

    texts = {row.name: f"{row.help} Form: {row.form}.".replace("%", "%%") for row in FIELDS}
    texts |= {row.name: row.help for row in FIELDS if row.json_type == "boolean"}  # a switch has no form
    texts["env"] += " NAME alone takes the value from your environment."
    texts["secrets"] += " NAME=FILE takes it from a file."
    texts["not_before"] = texts["not_before"].replace(" (flags also take 2h)", " or 2h from now")
    return texts
