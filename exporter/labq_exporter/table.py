"""Every metric of the exporter: the one table from which the page is made and ``docs/reference/metrics.md`` is written."""

from __future__ import annotations

from labq.metric import Metric

_GPU = ("gpu", "uuid")
_USER = (*_GPU, "user")
#: One series for each collector of this program.
COLLECTORS = ("nvml", "processes", "containers", "leases", "cgroups", "state")

TABLE: tuple[Metric, ...] = (
    Metric("labq_gpu_info", "info", "What a GPU is", (*_GPU, "model", "pci_bus_id", "minor", "mig"), "GPU"),
    Metric("labq_gpu_up", "gauge", "1 when the driver can read the GPU, 0 when it cannot", _GPU, "GPU"),
    Metric("labq_node_gpus_expected", "gauge", "GPUs that this node should have", (), "node"),
    Metric(
        "labq_gpu_state",
        "gauge",
        "0 free, 1 reserved by the queue, 2 held without use, 3 busy, 4 lost",
        _GPU,
        "GPU",
    ),
    Metric(
        "labq_gpu_state_seconds_total", "counter", "Time in each state", (*_GPU, "state"), "GPU and state"
    ),
    Metric("labq_gpu_memory_total_bytes", "gauge", "Memory of the GPU", _GPU, "GPU"),
    Metric("labq_gpu_memory_used_bytes", "gauge", "Memory in use", _GPU, "GPU"),
    Metric(
        "labq_gpu_memory_unattributed_bytes",
        "gauge",
        "Memory in use that no process accounts for (managed memory, a leak, the driver itself)",
        _GPU,
        "GPU",
    ),
    Metric(
        "labq_gpu_utilization_ratio",
        "gauge",
        "Share of the driver's last window in which a kernel ran; says nothing about how much of the GPU worked",
        _GPU,
        "GPU",
    ),
    Metric("labq_gpu_busy_seconds_total", "counter", "Integral of the utilization", _GPU, "GPU"),
    Metric("labq_gpu_temperature_celsius", "gauge", "Temperature", _GPU, "GPU"),
    Metric(
        "labq_gpu_temperature_slowdown_celsius",
        "gauge",
        "Temperature at which this GPU slows itself down",
        _GPU,
        "GPU",
    ),
    Metric("labq_gpu_power_watts", "gauge", "Power drawn", _GPU, "GPU"),
    Metric("labq_gpu_power_limit_watts", "gauge", "Power limit in force", _GPU, "GPU"),
    Metric("labq_gpu_energy_joules_total", "counter", "Energy since the driver was loaded", _GPU, "GPU"),
    Metric(
        "labq_gpu_ecc_errors_total",
        "counter",
        "Memory errors since the driver was loaded",
        (*_GPU, "type"),
        "GPU and type (corrected, uncorrected)",
    ),
    Metric("labq_gpu_row_remap_pending", "gauge", "1 when a row is remapped at the next reset", _GPU, "GPU"),
    Metric(
        "labq_gpu_row_remap_failed", "gauge", "1 when a row could not be remapped: replace it", _GPU, "GPU"
    ),
    Metric(
        "labq_gpu_throttled",
        "gauge",
        "1 while the GPU runs slower for this reason",
        (*_GPU, "reason"),
        "GPU and reason",
    ),
    Metric(
        "labq_gpu_xid_errors_total",
        "counter",
        "Xid events since this node booted, as far as this program listened",
        (*_GPU, "xid"),
        "GPU and code seen",
    ),
    Metric(
        "labq_gpu_xid_last_timestamp_seconds",
        "gauge",
        "When the last such Xid came; alert on this, since a counter's first event is no increase",
        (*_GPU, "xid"),
        "GPU and code seen",
    ),
    Metric(
        "labq_gpu_user_held_seconds_total",
        "counter",
        "Time that the person held the GPU (1/n of it when n people hold it); scope: queue or outside",
        (*_USER, "scope"),
        "GPU, user and scope seen",
    ),
    Metric(
        "labq_gpu_user_busy_seconds_total",
        "counter",
        "Time of that in which the GPU worked",
        (*_USER, "scope"),
        "GPU, user and scope seen",
    ),
    Metric(
        "labq_gpu_user_idle_held_seconds_total",
        "counter",
        "Time of that in which it did nothing",
        (*_USER, "scope"),
        "GPU, user and scope seen",
    ),
    Metric(
        "labq_gpu_user_memory_used_bytes",
        "gauge",
        "Memory of the person's processes",
        _USER,
        "GPU and holder",
    ),
    Metric(
        "labq_gpu_user_sm_ratio", "gauge", "Use of the multiprocessors by the person", _USER, "GPU and holder"
    ),
    Metric("labq_gpu_user_processes", "gauge", "Processes of the person", _USER, "GPU and holder"),
    Metric(
        "labq_gpu_holder_info",
        "info",
        "Who holds the GPU now, by which rule that is known, and with what",
        (*_USER, "source", "container", "job_id", "image", "disputed"),
        "holder",
    ),
    Metric(
        "labq_gpu_holder_memory_used_bytes",
        "gauge",
        "Memory of this holder",
        (*_USER, "container", "job_id"),
        "holder",
    ),
    Metric(
        "labq_gpu_holder_start_time_seconds",
        "gauge",
        "When its oldest process, or its lease, began",
        (*_USER, "container", "job_id"),
        "holder",
    ),
    Metric(
        "labq_container_info",
        "info",
        "A container that runs, and whose it is",
        ("container", "container_id", "image", "user", "source", "job_id"),
        "container (at most 200)",
    ),
    Metric(
        "labq_container_cpu_seconds_total",
        "counter",
        "Processor time of the container",
        ("container", "user"),
        "container (at most 200)",
    ),
    Metric(
        "labq_container_memory_bytes",
        "gauge",
        "Working set of the container: memory in use without what could be dropped",
        ("container", "user"),
        "container (at most 200)",
    ),
    Metric(
        "labq_user_cpu_seconds_total",
        "counter",
        "Processor time of the person: containers and logins",
        ("user",),
        "user",
    ),
    Metric(
        "labq_user_memory_bytes",
        "gauge",
        "Working set of the person: containers and logins",
        ("user",),
        "user",
    ),
    Metric(
        "labq_exporter_clock_timestamp_seconds",
        "gauge",
        "The time of this node when the page was made: what is old is told by it, and whether it is the time of Prometheus",
        (),
        "node",
    ),
    Metric("labq_exporter_build_info", "info", "This program and the driver", ("version", "driver"), "node"),
    Metric(
        "labq_exporter_last_collect_timestamp_seconds",
        "gauge",
        "When the collector last succeeded",
        ("collector",),
        "collector",
    ),
    Metric(
        "labq_exporter_last_collect_success",
        "gauge",
        "1 when its last try succeeded",
        ("collector",),
        "collector",
    ),
    Metric(
        "labq_exporter_collect_duration_seconds",
        "gauge",
        "Length of its last try",
        ("collector",),
        "collector",
    ),
    Metric("labq_exporter_collect_errors_total", "counter", "Tries that failed", ("collector",), "collector"),
    Metric(
        "labq_exporter_driver_mismatch",
        "gauge",
        "1 when the driver's library is of another version than its loaded kernel module: reboot",
        (),
        "node with a driver",
    ),
    Metric(
        "labq_exporter_series_dropped",
        "gauge",
        "Series of containers and holders left out of this page: there are too many, or two have the same labels",
        (),
        "node",
    ),
)
BY_NAME = {row.name: row for row in TABLE}
