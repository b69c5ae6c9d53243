"""Frame stores: the frames of something that several mappings may show, by page number; and `Backend`.

A `FrameStore` holds one reference to each of its frames. A page it lacks is supplied at first touch: zeroed, or
read from a file. `Backend` says what stands behind an area, in the few fields that a fault without the GIL
needs; its kinds with names and arguments stand in `mm.backend`.

Not here: which areas show a store, and copy-on-write (`space`).

Locking: the lock of the PhysMemory. A file's page is read with that lock held.

Failure: a file page that cannot be read, or lies wholly past the end of the file, is FAULT_BACKING.
"""

import os

import cython
from cython.cimports.axptr._core.codes import FAULT_BACKING, FAULT_NOMEM, FAULT_OK
from cython.cimports.axptr._core.frames import KIND_ALLOC, KIND_LINEAR, KIND_STORE, FrameStoreBody
from cython.cimports.axptr._core.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.axptr._core.phys import PhysMemory
from cython.cimports.libc.errno import EINTR, errno
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memset
from cython.cimports.posix.unistd import pread


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _slot(body: cython.pointer(FrameStoreBody), page: uint64_t) -> uint64_t:
    at: uint64_t = (page ^ (page >> 17)) & (body.capacity - 1)
    while body.keys[at] != 0 and body.keys[at] != page + 1:
        at = (at + 1) & (body.capacity - 1)
    return at


def store_get(body, page):
    """The frame of `page`, or 0."""
    at: uint64_t
    if body.count == 0:
        return 0
    at = _slot(body, page)
    return body.pfns[at] if body.keys[at] else 0


def store_put(body, page, pfn):
    """Note the frame of a page that has none; 0, or -1 if the host has no room for the note."""
    i: uint64_t
    at: uint64_t
    bigger: FrameStoreBody
    if body.count * 2 >= body.capacity:
        bigger = body[0]
        bigger.capacity = body.capacity * 2 if body.capacity else 64
        bigger.keys = cython.cast(cython.pointer(uint64_t), calloc(bigger.capacity, 8))
        bigger.pfns = cython.cast(cython.pointer(uint32_t), calloc(bigger.capacity, 4))
        if bigger.keys == cython.NULL or bigger.pfns == cython.NULL:
            free(bigger.keys)
            free(bigger.pfns)
            return -1
        for i in range(body.capacity):
            if body.keys[i]:
                at = _slot(cython.address(bigger), body.keys[i] - 1)
                bigger.keys[at] = body.keys[i]
                bigger.pfns[at] = body.pfns[i]
        free(body.keys)
        free(body.pfns)
        body[0] = bigger
    at = _slot(body, page)
    body.keys[at] = page + 1
    body.pfns[at] = cython.cast(uint32_t, pfn)
    body.count += 1
    return 0


def store_fill(body, phys, page, pfn):
    """The frame of `page` into `*pfn`, made if need be. FAULT_OK, FAULT_NOMEM or FAULT_BACKING. Lock held."""
    got: cython.Py_ssize_t
    done: uint64_t = 0
    found: uint64_t = store_get(body, page)
    if found:
        pfn[0] = found
        return FAULT_OK
    found = phys.alloc_frame(False, body.fd < 0)
    if found == 0:
        return FAULT_NOMEM
    if body.fd >= 0:
        while done < 4096:
            got = pread(body.fd, phys.base + (found << 12) + done, 4096 - done, (page << 12) + done)
            if got < 0 and errno == EINTR:
                continue
            if got <= 0:
                break
            done += got
        if done == 0:
            phys.decref(found)
            return FAULT_BACKING
        memset(phys.base + (found << 12) + done, 0, 4096 - done)
    if store_put(body, page, found) < 0:
        phys.decref(found)
        return FAULT_NOMEM
    pfn[0] = found
    return FAULT_OK


@cython.no_gc_clear
@cython.cclass
class FrameStore:
    """Frames by page number. `fd`: a file that supplies missing pages, duplicated; without one they are zero.

    label: what it is, for messages and `/proc/pid/maps`.
    """

    def __cinit__(self, phys: PhysMemory, fd=None, label=""):
        self.phys = phys
        self.label = label
        self.body.fd = -1
        if fd is not None:
            self.body.fd = os.dup(fd)

    def __dealloc__(self):
        i: uint64_t
        if self.body.fd >= 0:
            try:
                os.close(self.body.fd)
            except OSError:
                pass
        if self.body.count and not self.phys.forked:
            axptr_lock_gil(self.phys.lock)
            for i in range(self.body.capacity):
                if self.body.keys[i]:
                    self.phys.decref(self.body.pfns[i])
            axptr_unlock(self.phys.lock)
        free(self.body.keys)
        free(self.body.pfns)

    @property
    def resident(self):
        """Pages that have a frame."""
        return self.body.count

    def frames(self):
        """Physical addresses of the frames held, one for each page; for tests and accounts."""
        i: uint64_t
        return [self.body.pfns[i] << 12 for i in range(self.body.capacity) if self.body.keys[i]]


class Backend:
    """What supplies the pages of an area. Immutable; several areas may name the same one."""

    kind_name = "backend"

    def __cinit__(self, *args, **kwargs):
        self.kind = 0

    def _set(self, kind, *, shared=False, offset=0, store=None):
        if (kind == KIND_STORE) != (store is not None) or kind not in (KIND_ALLOC, KIND_LINEAR, KIND_STORE):
            raise ValueError(f"no such kind of backend: {kind}")
        self.kind = kind
        self.shared = shared
        self.offset = offset
        self.store = store
