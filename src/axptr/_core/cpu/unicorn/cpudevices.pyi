# Nothing here is for Python: see cpudevices.pxd.
