# Nothing here is for Python: C functions over the records of areas. See areas.pxd.
