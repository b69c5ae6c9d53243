# Nothing here is for Python: the live views behind the verbs of pointers. See live.pxd.
