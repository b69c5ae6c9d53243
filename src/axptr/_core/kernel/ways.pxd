from libc.stdint cimport uint64_t
from axptr._core.kernel.waiting cimport Waiting

cdef enum:
    PLACE = 0o12400000             # how places are opened, and beneath others: see `axptr._core.host.places`
    RESOLVE = 0x0E

# Where one step begins: a descriptor, its file's device, the path from there, whether that ends with a slash, how it is to be
# resolved (openat2(2)), and how many links were gone through.
cdef struct Way:
    int at
    uint64_t device
    const char *path
    bint slash
    unsigned long resolve
    int links

# Who holds what a path begins at, and `way` filled; None for what is the walk's. size: none if it is no path.
cdef object begins(Waiting task, int dirfd, char *text, Py_ssize_t size, Way *way)
# The same behind the first link that is in the way, with the path that comes of it where the other one was.
cdef object past_link(Waiting task, object start, Way *way, char *text)
# Whether that is the errno, below zero, of a name that is not there.
cdef bint is_missing(int refused) noexcept
