"""The server's ``/metrics``: rendered from what is in memory, never from a walk over jobs.

table.py      every metric: name, type, help, labels (the docs are made from it)
histogram.py  counts by bucket
samples.py    one value of one metric (values)
counts.py     jobs by state and person, waits, starts and ends, kept by following the board's events
passes.py     what the deciding loop of this process did
readings.py   what has to be asked of Redis, in a thread that may hang alone
parts.py      all of that -> samples, part by part
page.py       samples -> text; the only importer of prometheus_client
"""
