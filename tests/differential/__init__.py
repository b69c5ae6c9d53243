"""Random sequences of memory calls, run in a real process and on ours: the host's kernel is right."""
