from libc.stdint cimport uint8_t, uint32_t, uint64_t
from axptr._core.phys.phys cimport PhysMemory

# Marks of a store's page.
cdef enum:
    STORE_WRITTEN = 1      # written through a shared mapping, not yet in the file
    STORE_SHARED = 2       # the frame is another store's too: see `sharing`

# Which file a store is of, and as what the host told of it when the store was made.
cdef struct StoreKey:
    uint64_t device, inode, size
    uint64_t changed, touched    # mtime and ctime, nanoseconds
    bint known                   # and both were old

# A page number -> frame map that code without the GIL can search. A slot whose frame is 0 has none now.
cdef struct FrameStoreBody:
    uint64_t* keys         # page number + 1; 0 is a free slot
    uint32_t* pfns
    uint32_t* stamps       # `clock` at the page's last change by a write fault, `write` or `revert`
    uint8_t* marks
    uint64_t capacity      # a power of two
    uint64_t used          # slots with a key
    uint64_t count         # pages with a frame
    uint64_t limit         # pages there can be
    uint32_t clock         # see `FrameStore.capture`
    int fd                 # the file that supplies missing pages; -1: they are zero
    int out_fd             # the same file, open for writing; -1: nothing is written back
    bint memory            # what is written stays here: the file only supplies pages that nobody has written yet
    uint64_t dated         # when a mapping that shares it last began to write to a page, in nanoseconds since 1970; 0: told
    uint64_t file_end      # of such a file the bytes before it count; what follows is zero
    uint32_t* runs         # of each 512 pages, the piece of the memory that they had last; see `phys.runs`
    uint64_t nruns
    uint64_t owner         # of its runs; 0: it has none yet
    bint program           # an area shows it that may be run

cdef uint64_t store_slot(FrameStoreBody* body, uint64_t page) noexcept nogil
cdef uint64_t store_supplied(FrameStoreBody* body, uint64_t page) noexcept nogil
cdef uint64_t store_get(FrameStoreBody* body, uint64_t page) noexcept nogil
cdef int store_put(FrameStoreBody* body, uint64_t page, uint64_t pfn) noexcept nogil
cdef int store_fill(FrameStoreBody* body, PhysMemory phys, uint64_t page, uint64_t* pfn) noexcept nogil
cdef void store_fill_row(FrameStoreBody* body, PhysMemory phys, uint64_t first, uint64_t last) noexcept nogil
cdef void store_touch(FrameStoreBody* body, uint64_t page) noexcept nogil
cdef void store_date(FrameStoreBody* body) noexcept nogil
cdef bint store_written(FrameStoreBody* body, uint64_t first, uint64_t last) noexcept nogil
cdef int store_flush(FrameStoreBody* body, PhysMemory phys, uint64_t first, uint64_t last, bint clear) noexcept nogil
cdef void store_free(FrameStoreBody* body) noexcept nogil
cdef bint store_read(FrameStoreBody* body, PhysMemory phys, uint64_t page, uint64_t pfn) noexcept nogil
