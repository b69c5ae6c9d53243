"""Snapshots of a whole machine: all its processes at one moment, to go back to, to branch from, to keep in a file.

`snapshot` has the verbs, `owners` says which classes hold a machine's state, `rules` what is kept of each.
"""
