"""Measurements of nestvec beside its peers; see ``python -m benchmarks --list``."""
