"""Snapshots of an address space, and how they are written to files and read back."""
