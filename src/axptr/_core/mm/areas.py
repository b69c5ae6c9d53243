"""The areas of a space, sorted by address, as records that code without the GIL can search.

A list of chunks of up to 64 records; a look-up is a binary search and a count, an insert moves at most one chunk, and
the search for free room skips chunks whose largest gap is too small. With n areas a look-up costs O(log n), an
insert or removal O(64 + n / 64) moved words at worst.

Not here: what an area means, and Python's view of one (`mm.area`).

Invariants, checked by `index_check`: records do not overlap and stand in order; no chunk is empty; `lasts` is
right; a `gaps` entry is right or unknown.

Locking: the owner's. Functions with the GIL touch reference counts.
"""

import cython
from cython.cimports.axptr._core.mm.areas import (
    CHUNK_GROUP,
    CHUNK_RECORDS,
    CHUNK_SPARES,
    COVERED,
    AreaBounds,
    AreaChunk,
    AreaIndex,
    AreaPos,
    AreaRec,
    index_at,
    index_before,
    index_next,
)
from cython.cimports.axptr._core.mm.frames import Backend
from cython.cimports.axptr._core.words.codes import ACCESS, IN_PAGE, KIND_ALLOC, KIND_MMIO, KIND_PAGER, TRAIT_SEALED
from cython.cimports.cpython.object import PyObject
from cython.cimports.cpython.ref import Py_DECREF, Py_INCREF
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free, malloc, realloc
from cython.cimports.libc.string import memcpy, memmove, memset
from cython.cimports.posix.stdlib import posix_memalign

_UNKNOWN = cython.declare(uint64_t, cython.cast(uint64_t, -1))


def record_new(start, last, backend, name):
    """A record for a backend at its own offset; flags are 0."""
    behind: Backend = backend
    rec: cython.pointer(AreaRec) = cython.cast(cython.pointer(AreaRec), calloc(1, cython.sizeof(AreaRec)))
    if rec == cython.NULL:
        raise MemoryError
    rec.start = start
    rec.last = last
    rec.offset = behind.offset
    rec.kind = behind.kind
    rec.shared = behind.shared
    rec.traits = TRAIT_SEALED if behind.sealed else 0
    rec.store = cython.address(behind.store.body) if behind.store is not None else cython.NULL
    Py_INCREF(backend)
    Py_INCREF(name)
    rec.backend = cython.cast(cython.pointer(PyObject), backend)
    rec.name = cython.cast(cython.pointer(PyObject), name)
    return rec


def record_copy(rec):
    twin: cython.pointer(AreaRec) = cython.cast(cython.pointer(AreaRec), malloc(cython.sizeof(AreaRec)))
    if twin == cython.NULL:
        raise MemoryError
    twin[0] = rec[0]
    Py_INCREF(cython.cast(object, twin.backend))
    Py_INCREF(cython.cast(object, twin.name))
    return twin


def record_free(rec):
    Py_DECREF(cython.cast(object, rec.backend))
    Py_DECREF(cython.cast(object, rec.name))
    free(rec)


def records_join(low, high):
    """Whether `high`, which starts where `low` ends, could be one area with it."""
    if low.flags != high.flags or low.kind != high.kind or low.shared != high.shared or low.traits != high.traits:
        return False
    if low.store != high.store or low.grow_limit != high.grow_limit:
        return False
    if low.kind != KIND_ALLOC and low.offset + (high.start - low.start) != high.offset:
        return False
    if (low.kind == KIND_PAGER or low.kind == KIND_MMIO) and low.backend != high.backend:
        return False  # other functions
    return low.name == high.name or cython.cast(object, low.name) == cython.cast(object, high.name)


def index_free(index):
    i: uint32_t
    j: uint32_t
    for i in range(index.nchunks):
        for j in range(index.chunks[i].count):
            record_free(index.chunks[i].recs[j])
        free(index.chunks[i])
    while index.nspares:
        free(_take_spare(index))
    free(index.chunks)
    free(index.lasts)
    free(index.gaps)
    index.chunks = cython.NULL
    index.lasts = index.gaps = cython.NULL
    index.nchunks = index.capacity = 0
    index.count = 0
    index.hit = cython.NULL


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _take_spare(index: cython.pointer(AreaIndex)) -> cython.pointer(AreaChunk):
    chunk: cython.pointer(AreaChunk) = index.spares
    index.spares = cython.cast(cython.pointer(AreaChunk), chunk.recs[0])
    index.nspares -= 1
    return chunk


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _keep_spare(index: cython.pointer(AreaIndex), chunk: cython.pointer(AreaChunk)) -> cython.void:
    chunk.recs[0] = cython.cast(cython.pointer(AreaRec), index.spares)
    index.spares = chunk
    index.nspares += 1


def index_reserve(index, count):
    """Make room so that the next `count` inserts cannot fail; `MemoryError` otherwise, the index unchanged."""
    chunk: cython.p_void
    grown: cython.p_void
    # Each chunk there is may be full, and split at its first insert.
    wanted: uint64_t = count // (CHUNK_RECORDS // 2) + index.nchunks + 1
    if wanted > count:
        wanted = count
    if wanted < CHUNK_SPARES:
        wanted = CHUNK_SPARES
    while index.nspares < wanted:
        chunk = cython.NULL
        if posix_memalign(cython.address(chunk), 64, cython.sizeof(AreaChunk)) != 0:
            raise MemoryError
        _keep_spare(index, cython.cast(cython.pointer(AreaChunk), chunk))
    if index.nchunks + wanted > index.capacity:
        wanted = index.capacity * 2 + wanted
        grown = realloc(index.chunks, wanted * cython.sizeof(cython.p_void))
        if grown == cython.NULL:
            raise MemoryError
        index.chunks = cython.cast(cython.pointer(cython.pointer(AreaChunk)), grown)
        grown = realloc(index.lasts, wanted * 8)
        if grown == cython.NULL:
            raise MemoryError
        index.lasts = cython.cast(cython.pointer(uint64_t), grown)
        grown = realloc(index.gaps, wanted * 8)
        if grown == cython.NULL:
            raise MemoryError
        index.gaps = cython.cast(cython.pointer(uint64_t), grown)
        index.capacity = cython.cast(uint32_t, wanted)
    return 0


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _seek_in(chunk: cython.pointer(AreaChunk), vaddr: uint64_t) -> uint32_t:
    """The first of a chunk's records that ends at or after `vaddr`; there is one.

    Counting in two steps of eight has no branch to guess, where a binary search has six. The first step reads one
    line of the cache, which stays near since there are few; the second is the only one that goes far.
    """
    i: uint32_t
    group: uint32_t = 0
    inside: uint32_t = 0
    for i in range(CHUNK_RECORDS // CHUNK_GROUP - 1):
        group += chunk.tops[i] < vaddr
    group *= CHUNK_GROUP
    for i in range(CHUNK_GROUP - 1):
        inside += chunk.bounds[group + i].last < vaddr
    return group + inside


def index_seek(index, vaddr):
    """The position of the first record whose last byte is at or after `vaddr`."""
    pos: AreaPos
    low: uint32_t = 0
    shift: cython.int = 0
    i: uint32_t
    below: uint32_t
    probes: uint32_t
    # Sixteen ways a step: the probes of a step do not wait for each other.
    while index.nchunks >> shift >= 16:
        shift += 4
    while shift >= 0:
        probes = (index.nchunks - low) >> shift
        if probes > 15:
            probes = 15
        below = 0
        for i in range(1, probes + 1):
            below += index.lasts[low + (i << shift) - 1] < vaddr
        low += below << shift
        shift -= 4
    pos.chunk = low
    pos.index = _seek_in(index.chunks[low], vaddr) if low < index.nchunks else 0
    return pos


def index_cover(index, vaddr, last):
    pos: AreaPos = index_seek(index, vaddr)
    chunk: cython.pointer(AreaChunk)
    start: uint64_t
    if pos.chunk == index.nchunks:
        return 0
    chunk = index.chunks[pos.chunk]
    start = chunk.bounds[pos.index].start
    if vaddr < (start & ~cython.cast(uint64_t, ACCESS)) or chunk.bounds[pos.index].last < last:
        return 0
    return COVERED | (start & ACCESS)


def index_find(index, vaddr):
    """The record that holds `vaddr`, or NULL."""
    rec: cython.pointer(AreaRec) = index.hit
    if rec != cython.NULL and rec.start <= vaddr <= rec.last:
        return rec
    rec = index_at(index, index_seek(index, vaddr))
    if rec == cython.NULL or rec.start > vaddr:
        return cython.NULL
    index.hit = rec
    return rec


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _note_tops(chunk: cython.pointer(AreaChunk)) -> cython.void:
    i: uint32_t
    for i in range(CHUNK_RECORDS // CHUNK_GROUP):
        chunk.tops[i] = chunk.bounds[i * CHUNK_GROUP + CHUNK_GROUP - 1].last


def index_moved(index, pos):
    """The record at `pos` has other bounds or flags now."""
    chunk: cython.pointer(AreaChunk) = index.chunks[pos.chunk]
    if pos.index < chunk.count:
        chunk.bounds[pos.index].last = chunk.recs[pos.index].last
        chunk.bounds[pos.index].start = chunk.recs[pos.index].start | (chunk.recs[pos.index].flags & ACCESS)
    _note_tops(chunk)
    index.lasts[pos.chunk] = chunk.bounds[chunk.count - 1].last
    index.gaps[pos.chunk] = _UNKNOWN
    if pos.chunk + 1 < index.nchunks:
        index.gaps[pos.chunk + 1] = _UNKNOWN


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _open_chunk(index: cython.pointer(AreaIndex), at: uint32_t) -> cython.void:
    tail: uint32_t = index.nchunks - at
    memmove(index.chunks + at + 1, index.chunks + at, tail * cython.sizeof(cython.p_void))
    memmove(index.lasts + at + 1, index.lasts + at, tail * 8)
    memmove(index.gaps + at + 1, index.gaps + at, tail * 8)
    index.chunks[at] = _take_spare(index)
    index.chunks[at].count = 0
    memset(cython.address(index.chunks[at].bounds[0]), 0xFF, CHUNK_RECORDS * cython.sizeof(AreaBounds))
    index.nchunks += 1


def index_insert(index, rec):
    """Insert a record that overlaps none. `index_reserve` was called not long before."""
    pos: AreaPos = index_seek(index, rec.start)
    chunk: cython.pointer(AreaChunk)
    upper: cython.pointer(AreaChunk)
    half: uint32_t
    if pos.chunk == index.nchunks:
        if pos.chunk == 0:
            _open_chunk(index, 0)
        else:
            pos.chunk -= 1
        pos.index = index.chunks[pos.chunk].count
    chunk = index.chunks[pos.chunk]
    if chunk.count == CHUNK_RECORDS:
        # A chunk that grows at its end (areas made in order) stays full; others are halved.
        half = CHUNK_RECORDS if pos.index == CHUNK_RECORDS else CHUNK_RECORDS // 2
        _open_chunk(index, pos.chunk + 1)
        upper = index.chunks[pos.chunk + 1]
        upper.count = CHUNK_RECORDS - half
        memcpy(
            cython.address(upper.bounds[0]),
            cython.address(chunk.bounds[0]) + half,
            upper.count * cython.sizeof(AreaBounds),
        )
        memcpy(
            cython.address(upper.recs[0]),
            cython.address(chunk.recs[0]) + half,
            upper.count * cython.sizeof(cython.p_void),
        )
        chunk.count = half
        memset(cython.address(chunk.bounds[0]) + half, 0xFF, (CHUNK_RECORDS - half) * cython.sizeof(AreaBounds))
        if pos.index > half or half == CHUNK_RECORDS:
            pos.chunk += 1
            pos.index -= half
            index.lasts[pos.chunk - 1] = chunk.recs[half - 1].last
            index.gaps[pos.chunk - 1] = _UNKNOWN
            _note_tops(chunk)
            chunk = upper
        else:
            _note_tops(upper)
            index.lasts[pos.chunk + 1] = upper.recs[upper.count - 1].last
            index.gaps[pos.chunk + 1] = _UNKNOWN
    memmove(
        cython.address(chunk.recs[0]) + pos.index + 1,
        cython.address(chunk.recs[0]) + pos.index,
        (chunk.count - pos.index) * cython.sizeof(cython.p_void),
    )
    memmove(
        cython.address(chunk.bounds[0]) + pos.index + 1,
        cython.address(chunk.bounds[0]) + pos.index,
        (chunk.count - pos.index) * cython.sizeof(AreaBounds),
    )
    chunk.recs[pos.index] = rec
    chunk.count += 1
    index.count += 1
    index_moved(index, pos)


def index_remove(index, pos):
    """Take the record at `pos` out; the next one stands at `pos` then, if the chunk still has one there."""
    chunk: cython.pointer(AreaChunk) = index.chunks[pos.chunk]
    rec: cython.pointer(AreaRec) = chunk.recs[pos.index]
    tail: uint32_t
    if index.hit == rec:
        index.hit = cython.NULL
    index.count -= 1
    chunk.count -= 1
    memmove(
        cython.address(chunk.recs[0]) + pos.index,
        cython.address(chunk.recs[0]) + pos.index + 1,
        (chunk.count - pos.index) * cython.sizeof(cython.p_void),
    )
    memmove(
        cython.address(chunk.bounds[0]) + pos.index,
        cython.address(chunk.bounds[0]) + pos.index + 1,
        (chunk.count - pos.index) * cython.sizeof(AreaBounds),
    )
    chunk.bounds[chunk.count].last = _UNKNOWN
    if chunk.count:
        index_moved(index, pos)
        return rec
    tail = index.nchunks - pos.chunk - 1
    memmove(index.chunks + pos.chunk, index.chunks + pos.chunk + 1, tail * cython.sizeof(cython.p_void))
    memmove(index.lasts + pos.chunk, index.lasts + pos.chunk + 1, tail * 8)
    memmove(index.gaps + pos.chunk, index.gaps + pos.chunk + 1, tail * 8)
    index.nchunks -= 1
    if index.nspares < CHUNK_SPARES:
        _keep_spare(index, chunk)
    else:
        free(chunk)
    if pos.chunk < index.nchunks:
        index.gaps[pos.chunk] = _UNKNOWN
    return rec


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _chunk_gap(index: cython.pointer(AreaIndex), at: uint32_t) -> uint64_t:
    """The largest gap before a record of the chunk; before the very first record, its own start."""
    i: uint32_t
    floor: uint64_t
    largest: uint64_t = 0
    chunk: cython.pointer(AreaChunk) = index.chunks[at]
    if index.gaps[at] != _UNKNOWN:
        return index.gaps[at]
    floor = index.lasts[at - 1] + 1 if at else 0
    for i in range(chunk.count):
        if chunk.recs[i].start - floor > largest:
            largest = chunk.recs[i].start - floor
        floor = chunk.recs[i].last + 1
    index.gaps[at] = largest
    return largest


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _fits_up(
    low: uint64_t, high: uint64_t, size: uint64_t, align: uint64_t, found: cython.pointer(uint64_t)
) -> cython.bint:
    """Whether `size` bytes fit in [low, high], lowest place first."""
    at: uint64_t = (low + (align - 1)) & ~(align - 1)
    if at < low or at > high or high - at < size - 1:
        return False
    found[0] = at
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _fits_down(
    low: uint64_t, high: uint64_t, size: uint64_t, align: uint64_t, found: cython.pointer(uint64_t)
) -> cython.bint:
    """The same, highest place first."""
    at: uint64_t
    if high < low or high - low < size - 1:
        return False
    at = (high - (size - 1)) & ~(align - 1)
    if at < low:
        return False
    found[0] = at
    return True


def index_gap_up(index, first, last, size, align, found):
    """The lowest free place for `size` bytes in [first, last]: 1 and `*found`, or 0."""
    pos: AreaPos = index_seek(index, first)
    rec: cython.pointer(AreaRec)
    floor: uint64_t = first
    while True:
        if pos.index == 0 and pos.chunk < index.nchunks and floor != first and _chunk_gap(index, pos.chunk) < size:
            floor = index.lasts[pos.chunk] + 1
            if floor == 0 or floor > last:
                return 0
            pos.chunk += 1
            continue
        rec = index_at(index, pos)
        if rec == cython.NULL or rec.start > last:
            return _fits_up(floor, last, size, align, found)
        if rec.start > floor and _fits_up(floor, rec.start - 1, size, align, found):
            return 1
        floor = rec.last + 1
        if floor == 0 or floor > last:
            return 0
        pos = index_next(index, pos)


def index_gap_down(index, first, last, size, align, found):
    """The highest free place for `size` bytes in [first, last]: 1 and `*found`, or 0."""
    pos: AreaPos = index_seek(index, last)
    rec: cython.pointer(AreaRec) = index_at(index, pos)
    ceiling: uint64_t = last
    if rec != cython.NULL and rec.start <= last:
        if rec.start == 0:
            return 0
        ceiling = rec.start - 1
    while True:
        if pos.index == 0 and pos.chunk and ceiling != last and _chunk_gap(index, pos.chunk - 1) < size:
            # Only the room just above that chunk is left to try before it is skipped whole.
            rec = index_before(index, pos)
            if rec.last < ceiling and _fits_down(
                first if first > rec.last + 1 else rec.last + 1, ceiling, size, align, found
            ):
                return 1
            pos.chunk -= 1
            if index.chunks[pos.chunk].recs[0].start <= first:
                return 0
            ceiling = index.chunks[pos.chunk].recs[0].start - 1
            continue
        rec = index_before(index, pos)
        if rec == cython.NULL or rec.last < first:
            return _fits_down(first, ceiling, size, align, found)
        if rec.last < ceiling and _fits_down(rec.last + 1, ceiling, size, align, found):
            return 1
        if rec.start <= first:
            return 0
        ceiling = rec.start - 1
        if pos.index:
            pos.index -= 1
        else:
            pos.chunk -= 1
            pos.index = index.chunks[pos.chunk].count - 1


def index_check(index):
    i: uint32_t
    j: uint32_t
    total: uint64_t = 0
    known: uint64_t
    previous: cython.pointer(AreaRec) = cython.NULL
    rec: cython.pointer(AreaRec)
    for i in range(index.nchunks):
        if index.chunks[i].count == 0:
            raise AssertionError(f"chunk {i} of the areas is empty")
        for j in range(index.chunks[i].count):
            rec = index.chunks[i].recs[j]
            if rec.last < rec.start or (rec.start & IN_PAGE) or (rec.last & IN_PAGE) != IN_PAGE:
                raise AssertionError(f"area {rec.start:#x}..{rec.last:#x} is no run of pages")
            if previous != cython.NULL and previous.last >= rec.start:
                raise AssertionError(f"areas at {previous.start:#x} and {rec.start:#x} overlap or stand in disorder")
            if index.chunks[i].bounds[j].last != rec.last:
                raise AssertionError(
                    f"area at {rec.start:#x} ends at {rec.last:#x}, noted {index.chunks[i].bounds[j].last:#x}"
                )
            if index.chunks[i].bounds[j].start != rec.start | (rec.flags & ACCESS):
                raise AssertionError(f"area at {rec.start:#x} has a stale note of its start or flags")
            previous = rec
            total += 1
        for j in range(CHUNK_RECORDS // CHUNK_GROUP):
            if index.chunks[i].tops[j] != index.chunks[i].bounds[j * CHUNK_GROUP + CHUNK_GROUP - 1].last:
                raise AssertionError(f"chunk {i} has a stale note of where group {j} ends")
        if index.lasts[i] != previous.last:
            raise AssertionError(f"chunk {i} ends at {previous.last:#x}, noted {index.lasts[i]:#x}")
        known = index.gaps[i]
        index.gaps[i] = _UNKNOWN
        if known != _UNKNOWN and known != _chunk_gap(index, i):
            raise AssertionError(f"chunk {i} has a gap of {_chunk_gap(index, i):#x}, noted {known:#x}")
    if total != index.count:
        raise AssertionError(f"{total} areas, counted {index.count}")
    return 0
