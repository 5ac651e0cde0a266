"""Weakly supervised video anomaly detection: see `docs/python.md`."""
