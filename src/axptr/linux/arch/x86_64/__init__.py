"""x86-64: the frame of a signal handler."""
