"""Backups of a control machine that runs under compose, and the way back: ``python -m labq_scheduler.backup``.

One directory for each, named by its time (UTC), for root alone: secrets are inside.

``redis.rdb``
    the queue, users, tokens: a consistent copy, taken while Redis runs
``records.sqlite``
    what was run, for ever
``outputs.jsonl.gz``
    which outputs and logs there are (path, size, time), not what they hold
``grafana.tar``
    people's own dashboards and accounts, if Grafana was ever started
``control.tar``, ``lab.tar``
    ``.env`` and ``secrets/``; the lab directory without locks and runs
``MANIFEST.json``
    sizes and SHA-256 of these; written last

Outputs, logs, build contexts, images of the registry and the series of Prometheus are not in it.
"""
