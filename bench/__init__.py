"""Benchmarks against named peers: `python -m bench` (`docs/benchmarks.md`). Not installed."""
