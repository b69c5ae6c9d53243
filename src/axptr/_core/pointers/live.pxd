from libc.stdint cimport uint64_t
from axptr._core.pointers.pointertype cimport PointerType

cdef object show_elements(object provider, PointerType ptype, uint64_t addr, object n)
cdef object show_one(object provider, PointerType ptype, uint64_t addr)
