"""The shelf: pages of programs' files that nobody maps just now, for the next process that runs them.

When the last mapping of a file goes, its cache goes (`mm.filecache`), and with it what was read of the file. A compiler that
is run forty times would be read forty times. So a memory that is told to lays the pages of programs aside, and the next
cache of the same file begins with them.

What lies here nobody sees: it is no cache of the file until somebody maps it anew, and then only if the host says that the
file is what it was, by device, inode, size and both of its times. Those times must have been old when the cache was made
(`mm.filecache`), so that no change can hide within one tick of the host's clock. A file that is written through a mapping
is never laid here, nor are files that no program has mapped to run.

The frames count as free, and nobody is charged for them: whoever wants one and finds none has the shelf cleared first. No descriptor is kept.

Not here: the stores themselves (`store`, `frames`), which file is which (`mm.filecache`).

Invariant: a frame that lies here has one reference, and no pin. Locking: the lock of the PhysMemory.
"""

import cython
from cython.cimports.axptr._core.mm.shelf import SHELF_PLACES, Kept, Shelf
from cython.cimports.axptr._core.mm.store import FrameStoreBody, StoreKey, store_free
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.axptr._core.words.codes import PAGE_SIZE
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.libc.stdint import uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memset

_most = cython.declare(uint64_t, 32768)  # frames: 128 MiB


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _shelf(phys: PhysMemory) -> cython.pointer(Shelf):
    return cython.cast(cython.pointer(Shelf), phys.shelf)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _clear(phys: PhysMemory, kept: cython.pointer(Kept)) -> cython.void:
    """Give up the frames of one place."""
    i: uint64_t
    for i in range(kept.body.capacity):
        if kept.body.pfns[i]:
            phys.decref(kept.body.pfns[i])
    phys.nshelved -= kept.body.count
    store_free(cython.address(kept.body))
    memset(kept, 0, cython.sizeof(Kept))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _clear_all(phys: PhysMemory, end: cython.bint) -> cython.void:
    """Give up all frames; at the `end` of the memory, which has none any more, what is noted of them alone."""
    i: cython.int
    for i in range(SHELF_PLACES):
        if _shelf(phys).places[i].turn == 0:
            continue
        if end:
            store_free(cython.address(_shelf(phys).places[i].body))
        else:
            _clear(phys, cython.address(_shelf(phys).places[i]))
    if end:
        free(phys.shelf)
        phys.shelf = cython.NULL


def keep_programs(phys: PhysMemory, limit=None):
    """From now on lay pages of programs aside that nobody maps: in an eighth of so many bytes at most, and of what the memory
    may have. `MemoryError`."""
    made: cython.pointer(Shelf)
    most: uint64_t = phys.limit_frames if limit is None else limit // PAGE_SIZE
    if phys.shelf == cython.NULL:
        made = cython.cast(cython.pointer(Shelf), calloc(1, cython.sizeof(Shelf)))
        if made == cython.NULL:
            raise MemoryError
        phys.shelf = made
        phys.shed = _clear_all
    axptr_lock_gil(phys.lock)
    _shelf(phys).most = min(_most, phys.limit_frames // 8, most // 8)
    axptr_unlock(phys.lock)


def clear_shelf(phys: PhysMemory):
    """Nothing is laid aside, for now."""
    axptr_lock_gil(phys.lock)
    if phys.shelf != cython.NULL:
        _clear_all(phys, False)
    axptr_unlock(phys.lock)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _oldest(phys: PhysMemory) -> cython.pointer(Kept):
    i: cython.int
    found: cython.pointer(Kept) = cython.NULL
    at: cython.pointer(Kept)
    for i in range(SHELF_PLACES):
        at = cython.address(_shelf(phys).places[i])
        if at.turn and (found == cython.NULL or at.turn < found.turn):
            found = at
    return found


def shelf_put(phys, key, body):
    """Take over what a store has whose end this is; whether that was done. Lock held."""
    i: uint64_t
    place: cython.pointer(Kept) = cython.NULL
    at: cython.pointer(Kept)
    if phys.shelf == cython.NULL or not key.known or not body.program or body.out_fd >= 0 or body.memory:
        return False
    if body.count == 0 or body.count > _shelf(phys).most or phys.forked:
        return False
    for i in range(body.capacity):
        if body.pfns[i] and (body.marks[i] or phys.pins[body.pfns[i]] or phys.refs[body.pfns[i]] != 1):
            return False
    for i in range(SHELF_PLACES):
        at = cython.address(_shelf(phys).places[i])
        if at.turn and at.key.device == key.device and at.key.inode == key.inode:
            _clear(phys, at)
        if at.turn == 0:
            place = at
    while place == cython.NULL or phys.nshelved + body.count > _shelf(phys).most:
        place = _oldest(phys)
        if place == cython.NULL:
            return False
        _clear(phys, place)
    _shelf(phys).turns += 1
    place.turn = _shelf(phys).turns
    place.key = key[0]
    place.body = body[0]
    place.body.fd = -1
    for i in range(body.capacity):
        if body.pfns[i]:
            phys.discharge(body.pfns[i])
    phys.nshelved += body.count
    return True


def shelf_take(phys, key, body):
    """Give a new store of a file what is here of it; whether there was anything. Lock held."""
    i: uint64_t
    at: cython.pointer(Kept)
    kept: cython.pointer(FrameStoreBody) = cython.NULL
    wanted: StoreKey = key[0]
    if phys.shelf == cython.NULL or not wanted.known or body.capacity:
        return False
    for i in range(SHELF_PLACES):
        at = cython.address(_shelf(phys).places[i])
        if at.turn == 0 or at.key.device != wanted.device or at.key.inode != wanted.inode:
            continue
        if at.key.size != wanted.size or at.key.changed != wanted.changed or at.key.touched != wanted.touched:
            _clear(phys, at)  # of a file that is no more
            return False
        kept = cython.address(at.body)
        if not phys.may_charge(kept.count):
            _clear(phys, at)
            return False
        for i in range(kept.capacity):
            if kept.pfns[i]:
                phys.charge(kept.pfns[i], 1)
        phys.nshelved -= kept.count
        phys.note_peak()
        body.keys, body.pfns, body.stamps, body.marks = kept.keys, kept.pfns, kept.stamps, kept.marks
        body.capacity, body.used, body.count = kept.capacity, kept.used, kept.count
        body.runs, body.nruns, body.owner = kept.runs, kept.nruns, kept.owner
        for i in range(body.capacity):
            body.stamps[i] = 0
        memset(at, 0, cython.sizeof(Kept))
        return True
    return False
