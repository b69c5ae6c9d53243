from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from cpython.object cimport PyObject
from axptr._core.mm.store cimport FrameStoreBody

cdef enum:
    CHUNK_RECORDS = 64
    CHUNK_GROUP = 8
    CHUNK_SPARES = 4       # kept at hand

# What `index_cover` adds to what is granted, so that an area that grants nothing differs from none.
cdef enum:
    COVERED = 8

cdef struct AreaRec:
    uint64_t start         # first byte, page aligned
    uint64_t last          # last byte, so that an area may end at 2**64
    uint64_t offset        # bytes into the backing at `start`
    uint64_t grow_limit    # lowest address the area may grow down to; 0 where it does not grow
    uint32_t flags         # MappingFlags as asked for
    uint32_t kind          # Backend.kind, here so that code without the GIL can read it
    uint32_t shared        # writes go to the backing's own frames
    uint32_t traits        # TRAIT_*
    FrameStoreBody* store  # borrowed from the backend; NULL where the kind has none
    PyObject* backend      # one reference held
    PyObject* name         # one reference held

# `start` has the READ, WRITE and EXECUTE of the record's flags in its low bits.
cdef struct AreaBounds:
    uint64_t last
    uint64_t start

# Aligned to cache lines: a search touches `tops` (one line) and one group of eight `bounds` (two lines).
cdef struct AreaChunk:
    uint64_t tops[8]       # `last` of the last of each group of eight bounds
    AreaBounds bounds[64]  # of each record, side by side for the search; then `last` is 2**64 - 1
    AreaRec* recs[64]
    uint32_t count

# Where a record stands; `chunk == nchunks` is past the end.
cdef struct AreaPos:
    uint32_t chunk
    uint32_t index

cdef struct AreaIndex:
    AreaChunk** chunks
    uint64_t* lasts        # last byte of the last record of each chunk
    uint64_t* gaps         # largest gap before a record of the chunk (bytes); GAP_UNKNOWN when it must be counted
    uint32_t nchunks
    uint32_t capacity
    uint64_t count
    AreaRec* hit           # the record found last
    AreaChunk* spares      # so that an insert after `index_reserve` cannot fail; linked through their `recs[0]`
    uint64_t nspares

cdef AreaRec* record_new(uint64_t start, uint64_t last, object backend, object name) except NULL
cdef AreaRec* record_copy(AreaRec* rec) except NULL
cdef void record_free(AreaRec* rec) noexcept
cdef bint records_join(AreaRec* low, AreaRec* high) noexcept

cdef void index_free(AreaIndex* index) noexcept
# Room for `count` inserts that cannot fail.
cdef int index_reserve(AreaIndex* index, uint64_t count) except -1
# Whether one record holds all of [vaddr, last]: 0 if not, else COVERED and its READ, WRITE and EXECUTE.
cdef uint32_t index_cover(AreaIndex* index, uint64_t vaddr, uint64_t last) noexcept nogil
cdef AreaRec* index_find(AreaIndex* index, uint64_t vaddr) noexcept nogil
cdef AreaPos index_seek(AreaIndex* index, uint64_t vaddr) noexcept nogil
cdef void index_insert(AreaIndex* index, AreaRec* rec) noexcept nogil
cdef AreaRec* index_remove(AreaIndex* index, AreaPos pos) noexcept nogil
cdef void index_moved(AreaIndex* index, AreaPos pos) noexcept nogil
cdef int index_gap_up(AreaIndex* index, uint64_t first, uint64_t last, uint64_t size, uint64_t align, uint64_t* found) noexcept nogil
cdef int index_gap_down(AreaIndex* index, uint64_t first, uint64_t last, uint64_t size, uint64_t align, uint64_t* found) noexcept nogil
cdef int index_check(AreaIndex* index) except -1

# The record at `pos`, or NULL past the end.
cdef inline AreaRec* index_at(AreaIndex* index, AreaPos pos) noexcept nogil:
    return index.chunks[pos.chunk].recs[pos.index] if pos.chunk < index.nchunks else NULL

cdef inline AreaPos index_next(AreaIndex* index, AreaPos pos) noexcept nogil:
    pos.index += 1
    if pos.index >= index.chunks[pos.chunk].count:
        pos.chunk += 1
        pos.index = 0
    return pos

# The record before `pos`, or NULL.
cdef inline AreaRec* index_before(AreaIndex* index, AreaPos pos) noexcept nogil:
    if pos.index:
        return index.chunks[pos.chunk].recs[pos.index - 1]
    if pos.chunk:
        return index.chunks[pos.chunk - 1].recs[index.chunks[pos.chunk - 1].count - 1]
    return NULL

# The first record with a byte in [first, last], or NULL. For loops in which records come and go.
cdef inline AreaRec* index_first(AreaIndex* index, uint64_t first, uint64_t last) noexcept nogil:
    cdef AreaRec* rec = index_at(index, index_seek(index, first))
    return rec if rec != NULL and rec.start <= last else NULL

# A walk over the records with a byte in a range, upwards. Meanwhile none may come or go.
cdef struct Records:
    AreaRec* rec           # the record in hand ...
    AreaPos pos            # ... and where it stands
    AreaPos next
    uint64_t last
    AreaIndex* index

cdef inline Records records_in(AreaIndex* index, uint64_t first, uint64_t last) noexcept nogil:
    cdef Records walk
    walk.index = index
    walk.next = index_seek(index, first)
    walk.last = last
    return walk

# All of them.
cdef inline Records records_of(AreaIndex* index) noexcept nogil:
    return records_in(index, 0, ~<uint64_t>0)

# On to the next record; False at the end.
cdef inline bint next_record(Records* walk) noexcept nogil:
    walk.pos = walk.next
    walk.rec = index_at(walk.index, walk.pos)
    if walk.rec == NULL or walk.rec.start > walk.last:
        return False
    walk.next = index_next(walk.index, walk.pos)
    return True
