"""What is said of one metric family: the rows of which components make their tables, their pages and the docs. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One family, in the conventions of Prometheus (base units; ``_total``, ``_ratio``, ``_info``)."""

    name: str
    #: "gauge", "counter", "histogram" or "info" (a gauge that is always 1)
    kind: str
    #: one sentence; ends without a full stop, as in Prometheus' own help texts
    help: str
    labels: tuple[str, ...] = ()
    #: what there is one series of, for the docs: "GPU", "GPU and user", "node"…
    per: str = ""
