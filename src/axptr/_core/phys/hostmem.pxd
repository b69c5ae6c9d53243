from libc.stdint cimport uint8_t, uint64_t
from axptr._core.words.lock cimport axptr_lock

cdef extern from *:
    """
    #include <sys/mman.h>
    #include <unistd.h>
    #ifndef MADV_POPULATE_WRITE  /* glibc before 2.35 */
    #define MADV_POPULATE_WRITE 23
    #endif
    """
    enum:
        MADV_POPULATE_WRITE    # bring pages in for writing (madvise(2))
        SEEK_DATA              # the next bytes of a file that are there, and the next that are not (lseek(2))
        SEEK_HOLE

# Frames that show a file of the host's: the first, how many; which pieces of them the memory file has, too.
cdef struct Window:
    uint64_t first, count
    uint8_t *there

cdef enum:
    WINDOW_PIECE = 16              # frames that are brought into the memory file at once

cdef void* lazy(uint64_t nbytes) noexcept nogil

cdef class HostMemory:
    cdef uint8_t* base
    cdef readonly uint64_t size
    cdef readonly int fd           # the memory file, -1 where the host has none
    cdef axptr_lock* lock          # guards the books of the frames and every space and store over this memory
    cdef uint64_t nviewed          # pins of live views, over all frames
    cdef bint forked
    cdef bint copied               # forked, and `fd` is a file of this process that no other has
    cdef Window *windows           # what `show_file` has mapped; never less
    cdef uint64_t nwindows
    cdef object __weakref__

    cdef int map_host(self, uint64_t nbytes) except -1
    cdef int show_file_at(self, uint64_t first, uint64_t count, int fd, uint64_t offset) except -1
    cdef int bring(self, uint64_t pfn) noexcept nogil
    cdef void give_back(self, uint64_t start, uint64_t nbytes) noexcept nogil
    cdef bint next_pinned(self, uint64_t* first, uint64_t* last) noexcept nogil
    cdef int alive(self) except -1
