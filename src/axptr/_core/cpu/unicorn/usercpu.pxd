from libc.stdint cimport uint8_t, uint64_t
from axptr._core.cpu.running cimport RunningCpu
from axptr._core.cpu.unicorn.uclib cimport Api, TlbAnswer

cdef extern from "<malloc.h>" nogil:
    size_t malloc_usable_size(void *)

# The library's tree of exits: a GTree.
cdef struct ExitTree:
    void *root
    void *compare                  # (key looked for, key of a node, data): 0 is a match
    void *destroy_key
    void *destroy_value
    void *data
    unsigned int nodes
    int references

# Where the CPU finds descriptors while it may.
cdef uint64_t descriptor_page

cdef class UserCpu(RunningCpu):
    cdef Api *api
    cdef void *uc
    cdef uint8_t *boot_page        # two pages: for the way to user mode, later for detours (`corrections`)
    cdef void *clean               # context: user mode, nothing run yet
    cdef size_t invalid_at         # where the handle's block holds the address that faulted last, in words
    cdef uint64_t boot_refused     # the page that was refused last on the way to user mode
    cdef bint segments             # the descriptors of user segments can be loaded now
    cdef bint boot_stop            # stop at the next miss on data, on that way
    cdef uint64_t boot_exit        # an exit on that way

    cdef int check(self, int err, str what) except -1
    cdef int hook(self, int kind, void *callback, int instruction) except -1
    cdef int open(self) except -1
    cdef int take_exits(self, size_t size) except -1
    cdef bint forbids(self, uint64_t vaddr) noexcept nogil
    cdef int check_exits(self) except -1
    cdef int check_stops(self) except -1
    cdef int enter_user_mode(self) except -1
    cdef void show_descriptors(self, bint shown) noexcept nogil
    cdef uint64_t invalid_addr(self) noexcept nogil
    cdef void shut(self) noexcept
