from libc.stdint cimport uint64_t
from axptr._core.mm.space cimport SpaceCore

# Whether a range ends within user space.
cdef bint is_user(uint64_t address, uint64_t size) noexcept nogil
# Whether all of it could be copied as the CPU could have done it, with no page to be brought in; GIL held.
cdef bint transfer(SpaceCore space, uint64_t address, char *buffer, uint64_t size, int access) except -1
# The size of a string that could be copied so, with its NUL behind it; -1 if it could not, or is longer than `most`.
cdef Py_ssize_t string(SpaceCore space, uint64_t address, char *into, Py_ssize_t most) except -2
# Whether the CPU could make that access to all of it now.
cdef bint there(SpaceCore space, uint64_t address, uint64_t size, int access) except -1
