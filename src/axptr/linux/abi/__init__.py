"""Linux' numbers and layouts as programs see them, with nothing of a run: today the names of system calls."""
