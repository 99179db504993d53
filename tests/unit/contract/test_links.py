"""Addresses of pages about a job."""

from __future__ import annotations

from labq.links import grafana_job


def test_the_dashboard_of_a_job_opens_on_its_life_and_a_little_more() -> None:
    link = grafana_job("https://g.lab/grafana/", "a&b", "12.3", 1000.0, 2000.0)
    assert link == "https://g.lab/grafana/d/labq-my-jobs?var-user=a%26b&var-job=12.3&from=700000&to=2300000"
    assert grafana_job("http://g", "ann", "7", 1000.0).endswith("var-job=7&from=700000&to=now")
    assert grafana_job("http://g", "ann", "") == "http://g/d/labq-my-jobs?var-user=ann"
