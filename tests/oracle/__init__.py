"""Random short pieces of code, run by the host's CPU and by ours through the same program: `python -m tests.oracle`."""
