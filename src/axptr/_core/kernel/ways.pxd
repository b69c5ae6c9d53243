from axptr._core.host.places cimport Way, axptr_told
from axptr._core.kernel.waiting cimport Waiting

# Who holds what a path begins at, and `way` filled; None for what is the walk's. size: none if it is no path.
cdef object begins(Waiting task, int dirfd, char *text, Py_ssize_t size, Way *way)
# The same behind the first link that is in the way, with the path that comes of it where the other one was.
cdef object past_link(Waiting task, object start, Way *way, char *text)
# Whether that is the errno, below zero, of a name that is not there.
cdef bint is_missing(int refused) noexcept
# What the host tells of what a way leads to, no link followed: 0, or minus the errno; 1 where it is the handler's to say.
cdef int told_of(object start, Way *way, axptr_told *told) except 2
# The same of a node below a tree over another: 0, or 1.
cdef int told_below(object node, axptr_told *told) except 2
