"""The host's C library, as far as Python has no name for it."""
