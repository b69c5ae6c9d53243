"""Stores of memory that share frames: a twin costs the notes of its pages, and a page is copied when one of the two
writes it.

A frame that several stores show is marked in each. Whoever writes a store's page by a call (`memfile`) takes a frame of
its own first. What a mapping shows is never shared so: writes through mappings know no marks. So a store is made its
own (`own`) before the first area shows it, and the twin of one that an area shows has copies from the start.

Not here: which stores are shown (`axptr.linux.snapshots.memory`), files and their caches, which have no twins.

Locking: the lock of the PhysMemory. Failure: `LinuxError(ENOMEM)`; the twin is dropped, the store as it was.
"""

import errno
import os

import cython
from cython.cimports.axptr._core.mm.frames import FrameStore
from cython.cimports.axptr._core.mm.store import STORE_SHARED, FrameStoreBody, store_put, store_slot
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.axptr._core.words.codes import FAULT_NOMEM, FAULT_OK, PAGE_SHIFT, PAGE_SIZE
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy

from axptr.errors import LinuxError


def store_own(body: cython.pointer(FrameStoreBody), phys: PhysMemory, slot: uint64_t):
    """Have the page of a slot in a frame of this store alone. FAULT_OK or FAULT_NOMEM. Lock held."""
    old: uint64_t = body.pfns[slot]
    fresh: uint64_t
    if phys.refs[old] > 1:
        fresh = phys.alloc_frame(False, False)
        if fresh == 0:
            return FAULT_NOMEM
        memcpy(phys.base + (fresh << PAGE_SHIFT), phys.base + (old << PAGE_SHIFT), PAGE_SIZE)
        body.pfns[slot] = cython.cast(uint32_t, fresh)
        phys.decref(old)
    body.marks[slot] &= ~cython.cast(uint8_t, STORE_SHARED)
    return FAULT_OK


def own(store: FrameStore):
    """Have no page of a store in a frame that another store shows. `LinuxError(ENOMEM)`."""
    i: uint64_t
    code: cython.int = FAULT_OK
    axptr_lock_gil(store.phys.lock)
    for i in range(store.body.capacity):
        if store.body.pfns[i] and store.body.marks[i] & STORE_SHARED and code == FAULT_OK:
            code = store_own(cython.address(store.body), store.phys, i)
    axptr_unlock(store.phys.lock)
    if code != FAULT_OK:
        raise LinuxError(errno.ENOMEM, f"no frames left for the pages of {store.label or 'a file in memory'}")


def twin(store: FrameStore, shown: cython.bint):
    """Another store of this kind with the same bytes, which goes its own way from here on. `LinuxError(ENOMEM)`.

    shown: whether areas show the store, or will show the twin. What a file supplies that nobody has touched it supplies
    there too. `TypeError` for a file's cache.
    """
    i: uint64_t
    at: uint64_t
    code: cython.int = FAULT_OK
    if store.is_file:
        raise TypeError("the cache of a file is the file's")
    copy: FrameStore = type(store)(store.phys, None, store.label, store.body.limit)
    copy.device, copy.inode = store.device, store.inode
    copy.body.memory = store.body.memory
    copy.body.file_end = store.body.file_end
    if store.body.fd >= 0:
        copy.body.fd = os.dup(store.body.fd)
    axptr_lock_gil(store.phys.lock)
    for i in range(store.body.capacity):
        if store.body.pfns[i] == 0 or code != FAULT_OK:
            continue
        if shown:
            code = copy.put_copy(
                store.body.keys[i] - 1,
                cython.cast(uint64_t, store.phys.base) + (cython.cast(uint64_t, store.body.pfns[i]) << PAGE_SHIFT),
            )
        elif store_put(cython.address(copy.body), store.body.keys[i] - 1, store.body.pfns[i]) < 0:
            code = FAULT_NOMEM
        else:
            store.phys.incref(store.body.pfns[i])
            store.body.marks[i] |= STORE_SHARED
            at = store_slot(cython.address(copy.body), store.body.keys[i] - 1)
            copy.body.marks[at] |= STORE_SHARED
    axptr_unlock(store.phys.lock)
    if code != FAULT_OK:
        raise LinuxError(errno.ENOMEM, f"no frames left for another {store.label or 'file in memory'}")
    return copy
