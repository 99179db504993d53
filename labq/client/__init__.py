"""The Python client of labq's HTTP API: the same verbs as the command line.

    from labq import Client

    lab = Client()                                    # LABQ_SERVER, LABQ_TOKEN or the configuration file
    job = lab.submit("examples/digits", gpus="1")
    lab.wait(job["id"])
    lab.fetch(job["id"], "results")

client.py                               the class; its methods: submitting.py, jobs.py, lab.py
session.py                              token, retries, errors in labq's words
connection.py, answer.py, address.py    HTTP/1.1 over one socket
upload.py, follow.py, sse.py            build contexts; live logs and states
extract.py                              unpacking outputs safely
config.py                               which server, which token

Standard library only, and as little of it as will do: it is the start-up time of `labq ls`.
"""

from __future__ import annotations

from labq.client.client import Client

__all__ = ["Client"]
