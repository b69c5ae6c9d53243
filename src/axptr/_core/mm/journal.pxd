from libc.stdint cimport uint64_t

# A range of bytes, both ends included.
cdef struct Span:
    uint64_t first, last

# What changed in a space since a moment: pages by address, and ranges whose areas or whole contents changed.
cdef struct Journal:
    int on                 # nothing is noted while it is off
    int lost               # the host had no room for a note: anything may have changed
    uint64_t* pages
    uint64_t npages, page_capacity
    Span* ranges
    uint64_t nranges, range_capacity
    uint64_t* watched      # pages under writable live views, which change unseen
    uint64_t nwatched, watched_capacity

cdef void journal_page(Journal* journal, uint64_t vaddr) noexcept nogil
cdef void journal_range(Journal* journal, uint64_t first, uint64_t last) noexcept nogil
cdef void journal_watch(Journal* journal, uint64_t vaddr) noexcept nogil
cdef void journal_moved(Journal* journal, uint64_t vaddr, uint64_t to) noexcept nogil
cdef void journal_tidy(Journal* journal) noexcept nogil
cdef void journal_reset(Journal* journal) noexcept nogil
cdef int journal_check(Journal* journal, uint64_t first, uint64_t last) except -1
cdef void journal_free(Journal* journal) noexcept nogil
cdef bint journal_has(Journal* journal, uint64_t vaddr) noexcept nogil
