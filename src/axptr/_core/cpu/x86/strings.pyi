# Nothing here is for Python: one C function. See strings.pxd.
