"""Measurements, one file each; run.py runs them."""
