"""How the programs start: their flags are the settings that they read, and a mistake is told in two lines."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence

import pytest

import labq_exporter.__main__ as exporter
import labq_scheduler.__main__ as scheduler
import labq_scheduler.notify.__main__ as notifier
import labq_scheduler.provision.__main__ as provisioner
import labq_worker.__main__ as worker
from labq.program import settings_parser
from labq.settings import BY_NAME, SETTINGS, Setting, Settings

Parser = Callable[[], argparse.ArgumentParser]
Main = Callable[[Sequence[str]], int]
PROGRAMS: dict[str, tuple[Parser, Main]] = {
    "server": (scheduler.parser, scheduler.main),
    "agent": (worker.parser, worker.main),
    "exporter": (exporter.parser, exporter.main),
    "notifier": (notifier.parser, notifier.main),
    "provisioner": (provisioner.parser, provisioner.main),
}
every_program = pytest.mark.parametrize("reader", PROGRAMS)


def flags(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Setting -> its flag."""
    return {action.dest: action.option_strings[-1] for action in parser._actions}


@every_program
def test_every_setting_that_a_program_reads_has_a_flag_that_names_its_variable(reader: str) -> None:
    parser = PROGRAMS[reader][0]()
    text = re.sub(r"\s+", " ", parser.format_help())
    # A secret that is not part of an address has no flag: command lines are visible to everybody.
    wanted = {
        row.name
        for row in SETTINGS
        if reader in row.used_by and (row.kind != "secret" or row.name.endswith("_url"))
    }
    # Programs have flags that are no settings, too.
    assert set(flags(parser)) & set(BY_NAME) == wanted
    assert [name for name in wanted if f"(env: LABQ_{name.upper()}" not in text] == []


def test_flags_leave_out_the_name_of_their_program() -> None:
    of_agent, of_exporter = flags(worker.parser()), flags(exporter.parser())
    assert (of_agent["node"], of_agent["node_memory"], of_agent["node_address"]) == (
        "--name",
        "--memory",
        "--address",
    )
    assert (of_exporter["exporter_port"], of_exporter["run_dir"]) == ("--port", "--run-dir")
    assert flags(scheduler.parser())["exporter_port"] == "--exporter-port"


def test_a_switch_needs_no_value_and_may_have_one() -> None:
    parser = worker.parser()
    for said, wanted in (["--shared-files"], True), (["--shared-files", "0"], False), ([], False):
        settings = Settings(vars(parser.parse_args(said)), {"LABQ_CONFIG": "/nowhere"})
        assert bool(settings.number("shared_files")) is wanted


def test_a_percent_sign_in_the_help_of_a_setting_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Setting("part", "5 %", "text", "At least 10 % (%s of all).", ("agent",))
    monkeypatch.setattr("labq.program.SETTINGS", (row,))
    text = re.sub(r"\s+", " ", settings_parser("labq-worker", "agent", "It works.").format_help())
    assert "At least 10 % (%s of all). (env: LABQ_PART; default: 5 %)" in text


@every_program
def test_a_log_level_that_does_not_exist_is_quoted_with_those_that_do(
    reader: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert PROGRAMS[reader][1](["--log-level", "wanring"]) == 2
    assert capsys.readouterr().err == (
        "error: LABQ_LOG_LEVEL='wanring' is not known\n"
        "  next: did you mean warning? legal: debug, info, warning, error\n"
    )


@every_program
def test_a_flag_is_not_guessed_from_its_first_letters(
    reader: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        PROGRAMS[reader][1](["--log-lev", "info"])
    assert "--log-lev" in capsys.readouterr().err
