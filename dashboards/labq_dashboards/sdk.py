"""The one place that imports Grafana's SDK.

Its classic dashboards (schema 42) say at import that they would rather be of the second kind. Files in a folder are
classic ones in every Grafana up to 13, so that is what we write.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import bargauge as bargauge
    from grafana_foundation_sdk.builders import common as common_builders
    from grafana_foundation_sdk.builders import dashboard as builders
    from grafana_foundation_sdk.builders import prometheus as prometheus
    from grafana_foundation_sdk.builders import stat as stat
    from grafana_foundation_sdk.builders import statetimeline as statetimeline
    from grafana_foundation_sdk.builders import table as table
    from grafana_foundation_sdk.builders import text as text
    from grafana_foundation_sdk.builders import timeseries as timeseries
    from grafana_foundation_sdk.cog.encoder import JSONEncoder as JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins as register_default_plugins
    from grafana_foundation_sdk.models import common as common
    from grafana_foundation_sdk.models import dashboard as models
    from grafana_foundation_sdk.models import text as text_models
    from grafana_foundation_sdk.models.prometheus import PromQueryFormat as PromQueryFormat

__all__ = [
    "JSONEncoder",
    "PromQueryFormat",
    "bargauge",
    "builders",
    "common",
    "common_builders",
    "models",
    "prometheus",
    "register_default_plugins",
    "stat",
    "statetimeline",
    "table",
    "text",
    "text_models",
    "timeseries",
]
