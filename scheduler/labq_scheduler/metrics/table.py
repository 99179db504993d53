"""Every metric of the server: the one table from which the page and ``docs/reference/metrics.md`` are made."""

from __future__ import annotations

from labq.metric import Metric

#: Parts of the page; one that fails is left out and says so.
PARTS = ("build", "jobs", "scheduler", "nodes", "leases", "usage", "users", "images", "redis", "board", "records", "notices")  # fmt: skip

TABLE: tuple[Metric, ...] = (
    Metric("labq_build_info", "info", "Version of the server", ("version",), "server"),
    Metric(
        "labq_jobs",
        "gauge",
        "Jobs that are not over, by state; people without such a job have no series",
        ("state", "user"),
        "state (4) and user with an active job",
    ),
    Metric(
        "labq_jobs_oldest_wait_seconds",
        "gauge",
        "Age of the job that has waited longest for resources; 0 when none waits",
        (),
        "server",
    ),
    Metric(
        "labq_job_wait_seconds",
        "histogram",
        "From the submission, the --not-before time or the last end to the lease of a node, since this server started",
        (),
        "bucket (18)",
    ),
    Metric("labq_jobs_started_total", "counter", "Jobs that were given a node", (), "server"),
    Metric(
        "labq_jobs_ended_total",
        "counter",
        "Jobs that are over, by final state and end reason; one that is queued again is not over",
        ("state", "reason"),
        "reason seen (at most 19)",
    ),
    Metric(
        "labq_scheduler_leader",
        "gauge",
        "1 when this process decides, 0 when it stands by; none when it runs no loop (--only api)",
        (),
        "server",
    ),
    Metric(
        "labq_scheduler_last_pass_timestamp_seconds",
        "gauge",
        "When the loop of this process last made a turn, deciding or standing by",
        (),
        "server",
    ),
    Metric(
        "labq_scheduler_decision_seconds",
        "histogram",
        "Time of a turn; phase decide is reading and deciding, phase apply is writing and telling nodes",
        ("phase",),
        "phase (2) and bucket (13)",
    ),
    Metric(
        "labq_scheduler_decisions_total",
        "counter",
        "Decisions by what became of them: started, prepared (an image), refused, stale (somebody was faster), failed",
        ("outcome",),
        "outcome (5)",
    ),
    Metric(
        "labq_worker_last_heartbeat_timestamp_seconds",
        "gauge",
        "When the node's agent was last heard, by the server's clock",
        ("node",),
        "node",
    ),
    Metric("labq_node_up", "gauge", "1 when jobs may be placed on the node", ("node",), "node"),
    Metric("labq_gpus", "gauge", "GPUs of the node", ("node",), "node"),
    Metric(
        "labq_gpus_schedulable",
        "gauge",
        "GPUs that a job could be given now: the node takes work, the card is healthy, nobody holds it in or outside the queue",
        ("node",),
        "node",
    ),
    Metric(
        "labq_gpu_lease",
        "info",
        "A GPU that the queue has given to a job; a shared GPU has one for each job",
        ("node", "gpu", "uuid", "user", "job_id"),
        "lease",
    ),
    Metric(
        "labq_user_usage_charged_gpu_seconds",
        "gauge",
        "Weighted and decayed GPU-seconds of the person, inside and outside the queue, as fair share counts them",
        ("user",),
        "user who used GPUs in ten half-lives",
    ),
    Metric(
        "labq_user_info",
        "info",
        "A person of this lab, to join their Slack id and group by user",
        ("user", "slack_id", "group"),
        "user",
    ),
    Metric(
        "labq_images",
        "gauge",
        "Images on nodes, by state (preparing, ready, failed, absent)",
        ("state",),
        "state (4)",
    ),
    Metric("labq_redis_up", "gauge", "1 when Redis answered within a second", (), "server"),
    Metric("labq_redis_memory_used_bytes", "gauge", "Memory that Redis uses", (), "server"),
    Metric("labq_redis_memory_max_bytes", "gauge", "Memory that Redis may use; 0 = no limit", (), "server"),
    Metric("labq_board_loaded", "gauge", "1 when the server has read the lab's state", (), "server"),
    Metric("labq_board_lag_seconds", "gauge", "How far the server is behind the event stream", (), "server"),
    Metric(
        "labq_records_last_write_timestamp_seconds",
        "gauge",
        "When this server last wrote to the records; none before the first time",
        (),
        "server",
    ),
    Metric(
        "labq_notify_pending",
        "gauge",
        "Notices that people are still to be told; those held for quiet hours and digests, too",
        (),
        "server",
    ),
    Metric(
        "labq_notify_dead_letters",
        "gauge",
        "Notices that could not be sent and are kept for an admin (labq notify dead)",
        (),
        "server",
    ),
    Metric(
        "labq_notify_up",
        "gauge",
        "1 when a notifier was heard in the last ten seconds, 0 when none was; a lab may have none",
        (),
        "server",
    ),
    Metric(
        "labq_notices_total",
        "counter",
        "Notices that are done with, by kind and outcome (sent, dead); counted in Redis, so they outlive restarts",
        ("kind", "outcome"),
        "kind (9) and outcome (2) seen",
    ),
    Metric(
        "labq_scrape_part_success",
        "gauge",
        "1 when this part of the page is there, 0 when it could not be made and is left out",
        ("part",),
        f"part ({len(PARTS)})",
    ),
)
BY_NAME = {row.name: row for row in TABLE}
