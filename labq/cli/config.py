"""The settings in force, and where each comes from; secrets are not shown."""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument("--all", action="store_true", help="also those of server and agent")
    common.add_json(parser)


def run(options: Any) -> int:
    """Print a table."""
    import os

    from labq.cli import terminal
    from labq.cli.render.text import table
    from labq.settings import SETTINGS, Settings, config_path, read_config

    path = config_path()
    said = read_config(path)
    settings = Settings({"server": options.server})
    rows: list[list[str]] = []
    for row in SETTINGS:
        if not options.all and "client" not in row.used_by:
            continue
        value = settings.text(row.name)
        if row.kind == "secret" and value:
            value = "(set, not shown)"
        given = row.name == "server" and options.server is not None
        source = (
            "flag"
            if given
            else row.env_file
            if row.env_file and os.environ.get(row.env_file)
            else row.env
            if row.env in os.environ
            else str(path)
            if row.name in said
            else "default"
        )
        rows.append([row.name, value or "-", source])
    if options.json:
        terminal.print_json([dict(zip(("name", "value", "source"), row, strict=True)) for row in rows])
        return 0
    print(table(["SETTING", "VALUE", "FROM"], rows, terminal.width()), end="")
    print(f"configuration file: {path}" + ("" if path.exists() else " (there is none)"))
    return 0
