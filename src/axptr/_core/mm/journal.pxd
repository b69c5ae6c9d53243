from libc.stdint cimport uint32_t, uint64_t

# A range of bytes, both ends included.
cdef struct Span:
    uint64_t first, last

# A page that a restore put back. hot: it kept its frame and the right to be written, so it may change unseen; `idle` counts the
# restores that found it as they had left it.
cdef struct PutBack:
    uint64_t page
    uint32_t hot, idle

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
    PutBack* back          # pages that the last restore put back, by address
    uint64_t nback

cdef void journal_page(Journal* journal, uint64_t vaddr) noexcept nogil
cdef void journal_range(Journal* journal, uint64_t first, uint64_t last) noexcept nogil
cdef void journal_watch(Journal* journal, uint64_t vaddr) noexcept nogil
cdef void journal_moved(Journal* journal, uint64_t vaddr, uint64_t to) noexcept nogil
cdef void journal_hot(Journal* journal) noexcept nogil
cdef void journal_cool(Journal* journal) noexcept nogil
cdef void journal_tidy(Journal* journal) noexcept nogil
cdef void journal_reset(Journal* journal) noexcept nogil
cdef int journal_check(Journal* journal, uint64_t first, uint64_t last) except -1
cdef void journal_free(Journal* journal) noexcept nogil
cdef bint journal_has(Journal* journal, uint64_t vaddr) noexcept nogil
cdef bint journal_is_empty(Journal* journal) noexcept nogil
