# Nothing here is for Python: the copies behind the verbs of pointers. See elements.pxd.
