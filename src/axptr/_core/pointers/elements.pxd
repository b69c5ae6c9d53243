from libc.stdint cimport uint8_t, uint64_t
from axptr._core.pointers.pointertype cimport PointerType

cdef int put_elements(object provider, PointerType ptype, uint64_t addr, uint8_t* buffer, uint64_t size, uint64_t align) except -1
cdef uint64_t bytes_of(PointerType ptype, uint64_t addr, object n, uint64_t* count) except? -1
cdef object read_value(object provider, PointerType ptype, uint64_t addr, uint64_t align)
cdef int write_value(object provider, PointerType ptype, uint64_t addr, object value, uint64_t align) except -1
cdef object read_elements(object provider, PointerType ptype, uint64_t addr, object n)
cdef int write_elements(object provider, PointerType ptype, uint64_t addr, object data) except -1
