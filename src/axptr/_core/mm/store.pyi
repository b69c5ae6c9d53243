# All of it is for compiled code (store.pxd).
