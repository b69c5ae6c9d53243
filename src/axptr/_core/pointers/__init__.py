"""Checked user pointers: how values are stored, the pointers and their verbs, views, iovecs, atomics, searches."""
