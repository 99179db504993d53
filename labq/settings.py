"""Every setting: name, environment variable, default, unit, help. One table, read by all programs and the docs.

A setting comes from the flag of the program, else from its environment variable, else from the file that
``LABQ_CONFIG`` names (``~/.config/labq/config.toml``), else from the default here.

A setting of kind "secret" may also stand in a file of its own, which ``LABQ_<NAME>_FILE`` names (its last line end does
not count): an environment is seen by more people than a file, and Docker and systemd hand out secrets as files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labq.errors import BadInputError, closest
from labq.secret_file import read_secret
from labq.units import parse_bytes, parse_duration


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table."""

    name: str
    default: str
    #: "text", "path", "seconds", "bytes", "int", "list" (comma-separated), "secret", "switch" (1 or 0)
    kind: str
    help: str
    #: which programs read it: "client", "server", "agent", "exporter", "notifier", "provisioner"
    used_by: tuple[str, ...]

    @property
    def env(self) -> str:
        """Return the name of its environment variable."""
        return "LABQ_" + self.name.upper()

    @property
    def env_file(self) -> str:
        """Return the name of the variable that names a file with its value; "" when it is no secret."""
        return f"{self.env}_FILE" if self.kind == "secret" else ""


_C, _S, _A, _E, _N, _P = "client", "server", "agent", "exporter", "notifier", "provisioner"

SETTINGS: tuple[Setting, ...] = (
    Setting("server", "http://127.0.0.1:7580", "text", "Address of the labq server.", (_C, _A)),
    Setting("token", "", "secret", "Token that says who you are.", (_C,)),
    Setting(
        "data_dir",
        "~/.local/share/labq",
        "path",
        "Where the server or the agent keeps its files.",
        (_S, _A, _N),
    ),
    Setting(
        "redis_url",
        "",
        "secret",
        "Redis to use; `labq up` starts its own when this is empty.",
        (_S, _A, _N, _P),
    ),
    Setting(
        "redis_url_nodes",
        "",
        "secret",
        "Redis as nodes reach it; a node that joins is told (labq-scheduler --node-join).",
        (_S,),
    ),
    Setting("host", "127.0.0.1", "text", "Address that the server listens on.", (_S,)),
    Setting("port", "7580", "int", "Port that the server listens on.", (_S,)),
    Setting("node", "", "text", "Name of this node; empty = the host name.", (_A,)),
    Setting("node_token", "", "secret", "Token with which an agent speaks to the server.", (_A,)),
    Setting("gpus", "auto", "text", "auto (NVML), none, or simulated by name: sim:2xRTX-4090-24GB.", (_A,)),
    Setting("node_cpus", "", "text", "Cores that jobs may use on this node; empty = all.", (_A,)),
    Setting("node_memory", "", "text", "Main memory that jobs may use; empty = all but 1 GB or 10 %.", (_A,)),
    Setting(
        "node_disk",
        "",
        "text",
        "Disk that jobs may have with --disk; empty = what is free, less 10 % or 50 GB of it, watched.",
        (_A,),
    ),
    Setting(
        "node_disk_interval",
        "30s",
        "seconds",
        "How often the node's disk is looked at, and what jobs wrote there.",
        (_A,),
    ),
    Setting(
        "node_address",
        "",
        "text",
        "Name or address where Prometheus finds this node; empty = where it speaks to the server from.",
        (_A,),
    ),
    Setting("node_labels", "", "list", "Labels of this node for constraints: rack=a,group=vision.", (_A,)),
    Setting(
        "mounts", "", "list", "Directories of the node that jobs may mount: /data:ro,/scratch:rw.", (_S, _A)
    ),
    Setting("shared_files", "0", "switch", "1 when server and agent share data_dir (one machine).", (_A,)),
    Setting("builds", "2", "int", "Images built or pulled at the same time on this node.", (_A,)),
    Setting("starts", "4", "int", "Containers started at the same time on this node.", (_A,)),
    Setting(
        "max_time", "", "text", "Longest time limit a job may have, and its limit if it names none.", (_S,)
    ),
    Setting("max_context", "20GB", "bytes", "Largest build context.", (_S,)),
    Setting("max_queued_per_user", "20000", "int", "Jobs that one person may have queued.", (_S,)),
    Setting(
        "keep_jobs",
        "14d",
        "seconds",
        "How long Redis keeps finished jobs; the records keep them for ever.",
        (_S,),
    ),
    Setting(
        "packages_dir",
        "",
        "path",
        "Wheels of labq that nodes install from the server; empty = packages in data_dir.",
        (_S,),
    ),
    Setting("keep_contexts", "7d", "seconds", "How long an unused build context is kept.", (_S,)),
    Setting(
        "rules_file",
        "",
        "path",
        "The lab's rules (docs/reference/rules.md); empty = rules.toml in data_dir, if it is there.",
        (_S,),
    ),
    Setting(
        "metrics_token", "", "secret", "Token that /metrics asks for (Bearer); empty = it is open.", (_S,)
    ),
    Setting(
        "targets_dir", "", "path", "Write the nodes that Prometheus scrapes there; empty = nowhere.", (_S,)
    ),
    Setting("node_grace", "120s", "seconds", "Silence after which a node counts as lost.", (_S,)),
    Setting(
        "idle_warn",
        "30m",
        "seconds",
        "Idle time of its GPUs after which a job's owner is told; empty = never.",
        (_S,),
    ),
    Setting("idle_reclaim", "", "seconds", "Idle time after which a job is ended; empty = never.", (_S,)),
    Setting(
        "max_keep",
        "1d",
        "seconds",
        "How long its owner may keep an idle job (labq keep), in all; an admin may longer.",
        (_S,),
    ),
    Setting(
        "interactive_time",
        "12h",
        "seconds",
        "Time limit of an interactive job that names none; empty = LABQ_MAX_TIME.",
        (_S,),
    ),
    Setting("idle_exempt", "", "list", "Users whose jobs are never ended for being idle.", (_S,)),
    Setting(
        "records_url", "", "secret", "SQLAlchemy URL of the records; empty = SQLite in data_dir.", (_S, _N)
    ),
    Setting("run_dir", "/run/labq", "path", "Where agent and exporter leave each other notes.", (_A, _E)),
    Setting(
        "dcgm_jobs_dir", "", "path", "Write job ids there for dcgm-exporter's --hpc-job-mapping-dir.", (_A,)
    ),
    Setting(
        "jobstats_dir", "", "path", "Write job and uid of each GPU there for Princeton's jobstats.", (_A,)
    ),
    Setting("exporter_host", "127.0.0.1", "text", "Address that the exporter listens on.", (_E,)),
    Setting("exporter_port", "9746", "int", "Port that the exporters listen on.", (_E, _S)),
    Setting("exporter_interval", "1s", "seconds", "Time between two looks at the GPUs.", (_E,)),
    Setting(
        "exporter_web_config", "", "path", "File with TLS and basic auth, as for other exporters.", (_E,)
    ),
    Setting("gpus_expected", "", "text", "GPUs this node should have; empty = as many as PCI shows.", (_E,)),
    Setting(
        "engines",
        "",
        "list",
        "Sockets of container engines; empty = Docker's and Podman's. The agent asks its own besides.",
        (_A, _E),
    ),
    Setting(
        "stamp_key",
        "/var/lib/labq-stamp/stamp.key",
        "path",
        "Key of the docker.sock proxy's seals.",
        (_A, _E),
    ),
    Setting(
        "notify", "auto", "text", "on, off, or auto: `labq up` notifies when Slack or SMTP is set.", (_N,)
    ),
    Setting("slack_bot_token", "", "secret", "Bot token (xoxb-…) of the lab's Slack app.", (_N,)),
    Setting("slack_app_token", "", "secret", "App token (xapp-…): /labq and buttons in Slack.", (_N,)),
    Setting("slack_api_url", "https://slack.com/api/", "text", "Slack's API; for tests and gateways.", (_N,)),
    Setting("smtp_host", "", "text", "Mail server for notices by e-mail; empty = none are sent.", (_N,)),
    Setting("smtp_port", "587", "int", "Port of the mail server.", (_N,)),
    Setting("smtp_tls", "starttls", "text", "starttls, tls (from the first byte, port 465) or none.", (_N,)),
    Setting("smtp_user", "", "text", "Name at the mail server; empty = do not log in.", (_N,)),
    Setting("smtp_password", "", "secret", "Password at the mail server.", (_N,)),
    Setting("smtp_from", "labq@localhost", "text", "Sender of notices by e-mail.", (_S, _N)),
    Setting(
        "notify_mail_domains",
        "",
        "list",
        "Domains that members may have notices sent to: example.org; * = any; empty = that of smtp_from.",
        (_S, _N),
    ),
    Setting(
        "notify_slack_channels",
        "",
        "list",
        "Shared channels that members may choose: #my-group,C012AB3CD; * = any; empty = only messages to oneself.",
        (_S, _N),
    ),
    Setting("notify_webhook_ports", "80,443,8443", "list", "Ports that webhooks reach.", (_S, _N)),
    Setting(
        "notify_webhook_refuse",
        "",
        "list",
        "Networks that webhooks do not reach, such as the lab's own public ones: 192.0.2.0/24,2001:db8::/32.",
        (_N,),
    ),
    Setting(
        "notify_webhook_private", "0", "switch", "1 lets webhooks reach this machine and the LAN.", (_N,)
    ),
    Setting(
        "notify_give_up", "1d", "seconds", "How long a notice is tried before it is a dead letter.", (_N,)
    ),
    Setting("public_url", "", "text", "Where people reach the server; webhooks are never sent there.", (_N,)),
    Setting(
        "grafana_url",
        "",
        "text",
        "Address of Grafana; notices and labq show link to a job's dashboard.",
        (_S, _N),
    ),
    Setting(
        "lab_dir",
        "/etc/labq/lab",
        "path",
        "The lab's inventory, vault and ssh key, on the control machine (mode 0700).",
        (_P,),
    ),
    Setting("playbooks_dir", "", "path", "Playbooks to run instead of those that come with labq.", (_P,)),
    Setting("provision_timeout", "", "seconds", "Time after which a run is ended; empty = never.", (_P,)),
    Setting("log_level", "info", "text", "debug, info, warning or error.", (_S, _A, _E, _N, _P)),
)
BY_NAME = {row.name: row for row in SETTINGS}

#: Removed settings and the sentence that says what to use now.
OBSOLETE: dict[str, str] = {
    "usage_half_life": "write half-life below [fair-share] in the rules' file (LABQ_RULES_FILE)",
}


class Settings:
    """The settings in force. Its repr shows no value: some are secret."""

    def __init__(
        self, given: Mapping[str, str | None] | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        """Resolve lazily.

        Args:
            given: values of flags by setting name; None = not given.
            env: environment; None = the process's own.
        """
        self._given = {key: value for key, value in (given or {}).items() if value is not None}
        self._env = os.environ if env is None else env
        self._file: dict[str, str] | None = None

    def __repr__(self) -> str:
        """Return the class name only."""
        return "Settings(…)"

    def text(self, name: str) -> str:
        """Return the setting as text; "" when it has no value.

        Raises:
            BadInputError: a secret is given twice, or its file cannot be read.
        """
        row = BY_NAME[name]
        if name in self._given:
            return self._given[name]
        if row.env_file and self._env.get(row.env_file):
            return self._secret(row)
        if row.env in self._env:
            return self._env[row.env]
        if self._file is None:
            self._file = read_config(config_path(self._env))
        return self._file.get(name, row.default)

    def _secret(self, row: Setting) -> str:
        if self._env.get(row.env):
            raise BadInputError(
                f"{row.env} and {row.env_file} are both set", f"unset {row.env}: the file is the safer place"
            )
        return read_secret(Path(self._env[row.env_file]).expanduser(), row.env_file)

    def path(self, name: str) -> Path:
        """Return the setting as an absolute path."""
        return Path(self.text(name)).expanduser().absolute()

    def number(self, name: str) -> int:
        """Return the setting as a whole number.

        Raises:
            BadInputError: naming the variable.
        """
        raw = self.text(name)
        if not raw.isascii() or not raw.isdigit():
            raise BadInputError(f"{BY_NAME[name].env}={raw!r} is not a whole number", BY_NAME[name].help)
        return int(raw)

    def seconds(self, name: str) -> float | None:
        """Return the setting in seconds; None when it is empty."""
        raw = self.text(name)
        return parse_duration(raw, BY_NAME[name].env) if raw else None

    def bytes(self, name: str) -> int | None:
        """Return the setting in bytes; None when it is empty."""
        raw = self.text(name)
        return parse_bytes(raw, BY_NAME[name].env) if raw else None

    def items(self, name: str) -> list[str]:
        """Return a comma-separated setting as a list without empty items."""
        return [item.strip() for item in self.text(name).split(",") if item.strip()]


def config_path(env: Mapping[str, str] | None = None) -> Path:
    """Return the path of the configuration file."""
    env = os.environ if env is None else env
    if named := env.get("LABQ_CONFIG"):
        return Path(named).expanduser().absolute()
    base = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".config")
    return Path(base) / "labq" / "config.toml"


def read_config(path: Path) -> dict[str, str]:
    """Return the settings of a configuration file; empty when there is none.

    Raises:
        BadInputError: when it is no TOML, or names a setting that does not exist.
    """
    import tomllib

    try:
        body = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: {error}", "mend the file; it is TOML") from None
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}", "make it readable, or set LABQ_CONFIG") from None
    for key in body:
        if key in OBSOLETE:
            raise BadInputError(f"{path}: setting {key!r} is gone", OBSOLETE[key])
        if key not in BY_NAME:
            near = closest(key, list(BY_NAME))
            hint = f"did you mean {near!r}? " if near else ""
            raise BadInputError(f"{path}: unknown setting {key!r}", f"{hint}see docs/reference/settings.md")
    return {key: str(value) for key, value in body.items()}


def write_config(path: Path, values: Mapping[str, str]) -> None:
    """Write settings to ``path``, readable by its owner only (it may hold a token)."""
    import json

    from labq.whole_file import write_whole

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    write_whole(path, text, mode=0o600)
