"""Writes labq's Grafana dashboards: each is a page of Python, checked by mypy, and a JSON file that is checked in.

Never installed: ``make dashboards`` runs it. ``panels`` says what kinds of panel there are, ``palette`` what colours
mean, ``promql`` how series are joined; every other module is one dashboard, which answers one question.
"""
