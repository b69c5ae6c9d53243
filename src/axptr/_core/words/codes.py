"""The numbers that the core and Python share: access bits, pages, fault codes, kinds and traits of areas, bounds.

They stand in `codes.pxd`, once; compiled code takes them from there as constants, and this module has them for Python as
plain ints (no `enum`, which would cost a start its time).

Not here: what only one side needs, and numbers of a guest's ABI (`axptr.linux.abi`), also where they happen to be alike.
"""
