from libc.stdint cimport uint64_t
from axptr._core.cpu.metronome cimport Beat
from axptr._core.cpu.native.native cimport NativeCpu
from axptr._core.cpu.native.parked cimport Parked
from axptr._core.cpu.native.stub cimport nat_stub

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events, revents
    int poll(pollfd *, unsigned long, int)
    int POLLIN

cdef extern from "<sched.h>" nogil:
    int sched_getcpu()

cdef extern from "<unistd.h>" nogil:
    long read_fd "read"(int, void *, size_t)
    long write_fd "write"(int, const void *, size_t)
    int close_fd "close"(int)

cdef enum:
    MOST = 48

# One of the crew, for code without the GIL. The pointers lead into its `Parked`, and the stub that it has.
cdef struct Member:
    nat_stub *s
    int *out
    int *event

cdef class NativeCrew(NativeCpu):
    cdef list crew                 # the guests that are let run; each a `Parked`
    cdef Member members[48]        # the same, in the same order
    cdef int count, last           # how many; whose turn it was to be looked at
    cdef Parked who                # whose registers are in the CPU, or were
    cdef int place                 # its place
    cdef bint here                 # they are
    cdef bint wanted               # it is to be seen
    cdef object tag                # whose guest the CPU has
    cdef bint said                 # the one that was heard has said something
    cdef Beat bell                 # the clock of a run of several
    cdef int bell_fd

    cdef int load(self, int i) except -1
    cdef int stash(self) except -1
    cdef int leave_crew(self, Parked parked) except -1
    cdef int loop_many(self) noexcept nogil
    cdef int pick(self) noexcept nogil
    cdef int listen(self) noexcept nogil
    cdef int let_go(self) noexcept nogil
    cdef void find_core(self) noexcept nogil
