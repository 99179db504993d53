"""Node health: machines, cards, disks, and what the lab's own programs say of themselves."""

from __future__ import annotations

from labq_dashboards import frame
from labq_dashboards.palette import BAD, GOOD, QUIET, WATCH, XIDS, words
from labq_dashboards.panels import About, Query, bars, lines, number, override, overrides, timeline
from labq_dashboards.promql import EXPORTERS, MACHINES, NODE
from labq_dashboards.sdk import models
from labq_dashboards.tables import Column, rows

#: File systems that cannot fill up, or are the same one on every node.
REAL = 'fstype!~"tmpfs|ramfs|devtmpfs|overlay|squashfs|iso9660|efivarfs|autofs|nsfs|nfs.*|cifs|fuse.*"'
AVAIL = f"min by (node, mountpoint) (node_filesystem_avail_bytes{{{NODE}, {REAL}}})"
USED = f"max by (node, mountpoint) (1 - node_filesystem_avail_bytes{{{NODE}, {REAL}}} / node_filesystem_size_bytes{{{NODE}, {REAL}}})"
FULLEST = f"topk(15, {USED})"
YES_NO = words({"1": ("yes", GOOD), "0": ("no", BAD)})
RECENT_XID = f"max by (node, gpu, xid) (labq_gpu_xid_last_timestamp_seconds{{{NODE}}}) > time() - $__range_s"
#: A card at its power limit is at work, not ill.
SLOWED = 'reason!="power_cap"'

#: Cards, not MIG instances (2.1 is of card 2).
CARDS = (
    'count by (node) (group by (node, card) (label_replace(labq_gpu_up, "card", "$1", "gpu", "([0-9]+).*")))'
)
EXPECTED = f"max by (node) (labq_node_gpus_expected{{{NODE}}})"


def age(metric: str, selector: str = "") -> str:
    """Return the seconds since a node's timestamp."""
    chosen = ", ".join(filter(None, (NODE, selector)))
    return f"time() - max by (node) ({metric}{{{chosen}}})"


machines = number(
    About(
        1, "Machines", "Exporters of labq that answer Prometheus, and those that do not. A silent one hides who uses its GPUs.",
        "none", "Prometheus asks no node: see targets/nodes.json",
    ),
    Query(f'sum(max by (node) (up{{job="{EXPORTERS}", {NODE}}}))', "answer"),
    Query(f'sum(max by (node) (up{{job="{EXPORTERS}", {NODE}}}) == bool 0)', "silent"),
    colors={"answer": GOOD, "silent": BAD},
)  # fmt: skip
gpus = number(
    About(
        2, "GPUs",
        "Cards (or MIG instances) that the driver reads; lost: it sees them and cannot read them; missing: fewer cards than the node should have.",
        "none", "No GPU is watched",
    ),
    Query(f"sum(max by (node, gpu) (labq_gpu_up{{{NODE}}}))", "read"),
    Query(f"sum(max by (node, gpu) (labq_gpu_up{{{NODE}}}) == bool 0)", "lost"),
    Query(f"sum(clamp_min({EXPECTED} - on (node) ({CARDS} or {EXPECTED} * 0), 0))", "missing"),
    colors={"read": GOOD, "lost": BAD, "missing": BAD},
)  # fmt: skip
redis = number(
    About(
        3, "Redis", "Whether the server reaches it, and the memory that it uses. It is the queue's truth.",
        "bytes", "No server of labq answers",
    ),
    Query("max(labq_redis_up)", "answers"),
    Query("max(labq_redis_memory_used_bytes)", "memory"),
    decimals=0,
)  # fmt: skip
answers = override(
    "answers",
    models.DynamicConfigValue(id_val="unit", value="none"),
    models.DynamicConfigValue(id_val="mappings", value=YES_NO),
)
redis = overrides(redis, answers)
alerts = rows(
    About(4, "Alerts that fire", "What Alertmanager was told; docs/runbooks.md says what each means and what to type.", "none", "None"),
    [Query(f'sum by (alertname, severity, node, gpu, user) (ALERTS{{alertstate="firing", alertname!="LabqWatchdog", {NODE}}})')],
    [
        Column("severity", "Severity", look="text", width=90,
               mappings=words({"critical": ("critical", BAD), "warning": ("warning", WATCH), "info": ("info", QUIET)})),
        Column("alertname", "Alert"),
        Column("node", "Node", width=110),
        Column("gpu", "GPU", width=60),
        Column("user", "Person", width=100),
    ],
    sort=(("Severity", False),),
)  # fmt: skip
table = rows(
    About(
        5, "Nodes",
        "One row for each machine. Takes jobs: the queue may place jobs there. Driver seen, Agent heard: how long ago the exporter read the driver, and the"
        " server heard the agent.",
        "none", "Prometheus asks no node: see targets/nodes.json",
    ),
    [
        Query(f"max by (node) (labq_node_up{{{NODE}}})"),
        Query(f'max by (node) (up{{job="{EXPORTERS}", {NODE}}})'),
        Query(f'max by (node) (up{{job="{MACHINES}", {NODE}}})'),
        Query(f"sum by (node) (max by (node, gpu) (labq_gpu_up{{{NODE}}}))"),
        Query(EXPECTED),
        Query(age("labq_exporter_last_collect_timestamp_seconds", 'collector="nvml"')),
        Query(age("labq_worker_last_heartbeat_timestamp_seconds")),
        Query(f"max by (node) ({USED})"),
        Query(f"max by (node) (1 - node_memory_MemAvailable_bytes{{{NODE}}} / node_memory_MemTotal_bytes{{{NODE}}})"),
        Query(f'max by (node) (node_load5{{{NODE}}}) / count by (node) (node_cpu_seconds_total{{{NODE}, mode="idle"}})'),
        Query(f"max by (node, driver) (labq_exporter_build_info{{{NODE}}})"),
    ],
    [
        Column("node", "Node", links=(("Who is there", f"/d/{frame.NOW}?var-node=${{__data.fields.Node}}"),)),
        Column("A", "Takes jobs", look="text", mappings=YES_NO),
        Column("B", "labq-exporter", look="text", mappings=YES_NO),
        Column("C", "node_exporter", look="text", mappings=YES_NO),
        Column("D", "GPUs read", width=80),
        Column("E", "of", width=50),
        Column("F", "Driver seen", "s", "text", ((None, GOOD), (30, WATCH), (120, BAD)), decimals=0),
        Column("G", "Agent heard", "s", "text", ((None, GOOD), (30, WATCH), (90, BAD)), decimals=0),
        Column("H", "Fullest disk", "percentunit", "gauge", ((None, GOOD), (0.85, WATCH), (0.95, BAD)), decimals=0),
        Column("I", "Memory", "percentunit", "gauge", ((None, GOOD), (0.9, WATCH), (0.97, BAD)), decimals=0),
        Column("J", "Load per core", "none", "text", ((None, GOOD), (1.5, WATCH), (4, BAD)), decimals=1),
        Column("driver", "Driver"),
    ],
    sort=(("Node", False),),
)  # fmt: skip
heat = bars(
    About(
        6, "Closest to slowing down",
        "Degrees that a card is below the temperature at which it slows itself down; the ten closest.",
        "celsius", "No card says where it slows down", steps=((None, BAD), (5, WATCH), (15, GOOD)),
    ),
    Query(
        f"bottomk(10, min by (node, gpu) (labq_gpu_temperature_slowdown_celsius{{{NODE}}} - labq_gpu_temperature_celsius{{{NODE}}}))",
        "{{node}} {{gpu}}",
    ),
    top=60,
)  # fmt: skip
temperature = lines(
    About(
        7,
        "Hottest card of each node",
        "Temperature of the hottest GPU.",
        "celsius",
        "No card says its temperature",
    ),
    Query(f"max by (node) (labq_gpu_temperature_celsius{{{NODE}}})", "{{node}}"),
)
power = lines(
    About(
        8,
        "Power of the GPUs",
        "What the cards draw, by node, and the sum of their limits.",
        "watt",
        "No card says its power",
    ),
    Query(f"sum by (node) (max by (node, gpu) (labq_gpu_power_watts{{{NODE}}}))", "{{node}}"),
    Query(f"sum(max by (node, gpu) (labq_gpu_power_limit_watts{{{NODE}}}))", "all limits"),
    dashed=("all limits",),
)
throttled = timeline(
    About(
        9, "Cards that slowed down",
        "Cards that were slower than they could be at some time, and why; a power limit is no illness and is not here.",
        "none", "No card slowed down in this time", mappings=words({"0": ("at full speed", QUIET), "1": ("slowed", BAD)}),
    ),
    Query(
        f"max by (node, gpu, reason) (labq_gpu_throttled{{{NODE}, {SLOWED}}}) and on (node, gpu, reason)"
        f" max_over_time(labq_gpu_throttled{{{NODE}, {SLOWED}}}[$__range]) == 1",
        "{{node}} {{gpu}} {{reason}}",
    ),
)  # fmt: skip
xids = rows(
    About(
        10, "Xid events",
        "What the driver complained of in this time. Red: take the card out of the queue and reset it; grey: a program's own fault.",
        "none", "None in this time",
    ),
    [
        Query(f"({RECENT_XID}) * 1000"),
        Query(f"sum by (node, gpu, xid) (labq_gpu_xid_errors_total{{{NODE}}}) and on (node, gpu, xid) ({RECENT_XID})"),
    ],
    [
        Column("node", "Node"),
        Column("gpu", "GPU", width=60),
        Column("xid", "Xid", look="text", mappings=words(XIDS), steps=((None, WATCH),)),
        Column("A", "Last", "dateTimeFromNow"),
        Column("B", "Since boot", width=90),
    ],
    sort=(("Last", True),),
)  # fmt: skip
memory = rows(
    About(
        11, "Memory errors of cards",
        "Since the driver was loaded. Uncorrected: a job may have computed nonsense. Pending: reset the card when it is free. Failed: have it replaced.",
        "none", "None",
    ),
    [
        Query(f'sum by (node, gpu) (labq_gpu_ecc_errors_total{{{NODE}, type="uncorrected"}}) > 0'),
        Query(f'sum by (node, gpu) (labq_gpu_ecc_errors_total{{{NODE}, type="corrected"}}) > 0'),
        Query(f"max by (node, gpu) (labq_gpu_row_remap_pending{{{NODE}}}) == 1"),
        Query(f"max by (node, gpu) (labq_gpu_row_remap_failed{{{NODE}}}) == 1"),
    ],
    [
        Column("node", "Node"),
        Column("gpu", "GPU", width=60),
        Column("A", "Uncorrected", look="text", steps=((None, "text"), (1, BAD))),
        Column("B", "Corrected"),
        Column("C", "Remap pending", look="text", mappings=words({"1": ("pending", WATCH)})),
        Column("D", "Remap failed", look="text", mappings=words({"1": ("failed", BAD)})),
    ],
    sort=(("Uncorrected", True),),
)  # fmt: skip
disks = rows(
    About(
        12, "Fullest disks",
        "The fifteen fullest file systems, and when they are full if they go on as in the last six hours.",
        "none", "No node_exporter answers",
    ),
    [
        Query(FULLEST),
        Query(f"{AVAIL} and on (node, mountpoint) {FULLEST}"),
        Query(f"{AVAIL} / (-(min by (node, mountpoint) (deriv(node_filesystem_avail_bytes{{{NODE}, {REAL}}}[6h]))) > 0)"
              f" and on (node, mountpoint) {FULLEST}"),
    ],
    [
        Column("node", "Node"),
        Column("mountpoint", "Mounted at"),
        Column("A", "Used", "percentunit", "gauge", ((None, GOOD), (0.85, WATCH), (0.95, BAD)), decimals=0),
        Column("B", "Free", "bytes", decimals=1),
        Column("C", "Full in", "s", "text", ((None, BAD), (86400, WATCH), (7 * 86400, "text"))),
    ],
    sort=(("Used", True),),
)  # fmt: skip

PAGE = frame.Page(
    uid=frame.NODES,
    question="Which machines and cards are ill, and what is wrong with them?",
    rows=[
        frame.Row(5, [(5, machines), (6, gpus), (5, redis), (8, alerts)]),
        frame.Row(8, [(24, table)]),
        frame.Row(8, [(6, heat), (9, temperature), (9, power)]),
        frame.Row(7, [(8, throttled), (8, xids), (8, memory)]),
        frame.Row(8, [(24, disks)]),
    ],
    variables=[frame.node()],
)
