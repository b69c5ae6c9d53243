from axptr._core.host.places cimport Way, axptr_told

cdef enum:
    PLACE = 0o12400000             # how places are opened, and beneath others: see `axptr._core.host.places`
    RESOLVE = 0x0E

# Down from a node of the tree above by a path that is `leads_down`: the node above that it comes to; the tree itself, with `way`
# filled, where the rest is below or nothing is there (way.refused, minus an errno); None for what is the walk's. judged: the
# places below are for the host to be asked of. begin: where the path begins in the text.
cdef object descended(object start, char *text, Py_ssize_t size, Py_ssize_t begin, bint judged, Way *way)
# The node that somebody holds of what a way leads to below, None if nobody does.
cdef object holder(object tree, Way *way)
# What the host told of a file below, as the tree above tells it; whether that is for us to say.
cdef bint adopted(object tree, axptr_told *told) except -1
# The node that the tree above has of a descriptor that was opened below, which belongs to it from now on.
cdef object found_below(object tree, Way *way, int fd, const axptr_told *told)
# Whether somebody may read (4) or execute (1) that, as `axptr.linux.fs.permissions` judges what is not the host's: 0; -ELOOP of a
# link; 1 where it is to be asked. everything: he may search all directories, and read and execute what anybody may be let.
cdef int readable(const axptr_told *told, unsigned int wanted, bint everything) noexcept
