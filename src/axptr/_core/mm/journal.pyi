# Nothing here is for Python: C functions over a space's journal. See journal.pxd.
