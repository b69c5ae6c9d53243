"""The body of a frame store: page number -> frame, in plain memory that code without the GIL searches and fills.

A page that it lacks is supplied at first touch: zeroed, or read from a file, alone or with its neighbours. What was written
through a shared mapping is marked until it is written back.

Not here: the object around it, which owns the frames (`frames`); frames that belong to several stores (`sharing`).

Locking: the lock of the PhysMemory. A file's page is read with that lock held.

Failure: FAULT_BACKING for a page past the store's limit, or one of a file that cannot be read or lies wholly past its end;
FAULT_NOMEM.
"""

import cython
from cython.cimports.axptr._core.mm.sending import sendfile
from cython.cimports.axptr._core.mm.store import STORE_WRITTEN, FrameStoreBody
from cython.cimports.axptr._core.phys.phys import PhysMemory
from cython.cimports.axptr._core.phys.runs import RUN_FRAMES
from cython.cimports.axptr._core.words.codes import (
    FAULT_BACKING,
    FAULT_NOMEM,
    FAULT_OK,
    PAGE_SHIFT,
    PAGE_SIZE,
)
from cython.cimports.libc.errno import EINTR, EIO, errno
from cython.cimports.libc.stdint import int64_t, uint8_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free, realloc
from cython.cimports.libc.string import memset
from cython.cimports.posix.stat import fstat, struct_stat
from cython.cimports.posix.time import CLOCK_REALTIME, clock_gettime, timespec
from cython.cimports.posix.unistd import SEEK_SET, lseek, pread, pwrite

_CLOCK_REALTIME_COARSE = cython.declare(cython.int, 5)
_MOST_RUNS = cython.declare(uint64_t, 4096)  # of one file: 8 GiB


def store_slot(body, page):
    """Where the note of a page is, or would be."""
    at: uint64_t = (page ^ (page >> 17)) & (body.capacity - 1)
    while body.keys[at] != 0 and body.keys[at] != page + 1:
        at = (at + 1) & (body.capacity - 1)
    return at


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def store_free(body: cython.pointer(FrameStoreBody)) -> cython.void:
    free(body.keys)
    free(body.pfns)
    free(body.stamps)
    free(body.marks)
    free(body.runs)


def store_get(body, page):
    """The frame of `page`, or 0."""
    at: uint64_t
    if body.count == 0:
        return 0
    at = store_slot(body, page)
    return body.pfns[at] if body.keys[at] else 0


def store_put(body, page, pfn):
    """Note the frame of a page that has none; 0, or -1 if the host has no room for the note."""
    i: uint64_t
    at: uint64_t
    bigger: FrameStoreBody
    if body.used * 2 >= body.capacity:
        bigger = body[0]
        bigger.used = 0
        bigger.capacity = body.capacity * 2 if body.capacity else 64
        bigger.keys = cython.cast(cython.pointer(uint64_t), calloc(bigger.capacity, 8))
        bigger.pfns = cython.cast(cython.pointer(uint32_t), calloc(bigger.capacity, 4))
        bigger.stamps = cython.cast(cython.pointer(uint32_t), calloc(bigger.capacity, 4))
        bigger.marks = cython.cast(cython.pointer(uint8_t), calloc(bigger.capacity, 1))
        if not (bigger.keys and bigger.pfns and bigger.stamps and bigger.marks):
            bigger.runs = cython.NULL
            store_free(cython.address(bigger))
            return -1
        for i in range(body.capacity):
            if body.pfns[i]:
                at = store_slot(cython.address(bigger), body.keys[i] - 1)
                bigger.keys[at] = body.keys[i]
                bigger.pfns[at] = body.pfns[i]
                bigger.stamps[at] = body.stamps[i]
                bigger.marks[at] = body.marks[i]
                bigger.used += 1
        body.runs = cython.NULL
        store_free(body)
        body[0] = bigger
    at = store_slot(body, page)
    if body.keys[at] == 0:
        body.keys[at] = page + 1
        body.used += 1
    body.pfns[at] = cython.cast(uint32_t, pfn)
    # A page that comes into being after a capture differs from "not there" as soon as it is written.
    body.stamps[at] = 0
    body.marks[at] = 0
    body.count += 1
    return 0


def store_supplied(body, page):
    """How many bytes of a page come from the file; the rest is zero."""
    if body.fd < 0 or page >= (body.file_end + (PAGE_SIZE - 1)) >> PAGE_SHIFT:
        return 0
    left: uint64_t = body.file_end - (page << PAGE_SHIFT)
    return PAGE_SIZE if left > PAGE_SIZE else left


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def store_read(body: cython.pointer(FrameStoreBody), phys: PhysMemory, page: uint64_t, pfn: uint64_t) -> cython.bint:
    """Read a page of the file into a frame, zeros after its end; whether the file has any of it."""
    got: cython.Py_ssize_t
    done: uint64_t = 0
    end: uint64_t = PAGE_SIZE
    if page >> 51:  # no file is that long
        return False
    if body.memory:
        end = store_supplied(body, page)
    while done < end:
        got = pread(body.fd, phys.base + (pfn << PAGE_SHIFT) + done, end - done, (page << PAGE_SHIFT) + done)
        if got < 0 and errno == EINTR:
            continue
        if got <= 0:
            break
        done += got
    if done == 0 and not body.memory:
        return False
    memset(phys.base + (pfn << PAGE_SHIFT) + done, 0, PAGE_SIZE - done)
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _run_of(body: cython.pointer(FrameStoreBody), phys: PhysMemory, page: uint64_t) -> cython.pointer(uint32_t):
    """Where it is noted which piece of the memory a file's page is to lie in; NULL for none: a file that is very long."""
    block: uint64_t = page // RUN_FRAMES
    count: uint64_t
    grown: cython.pointer(uint32_t)
    if block >= _MOST_RUNS:
        return cython.NULL
    if block >= body.nruns:
        count = max(block + 1, min(2 * body.nruns, _MOST_RUNS))
        grown = cython.cast(cython.pointer(uint32_t), realloc(body.runs, count * 4))
        if grown == cython.NULL:
            return cython.NULL
        memset(grown + body.nruns, 0, (count - body.nruns) * 4)
        body.runs = grown
        body.nruns = count
    if body.owner == 0:
        body.owner = phys.new_owner()
    return body.runs + block


def store_fill(body, phys, page, pfn):
    """The frame of `page` into `*pfn`, made if need be. FAULT_OK, FAULT_NOMEM or FAULT_BACKING. Lock held."""
    found: uint64_t = store_get(body, page)
    if found:
        pfn[0] = found
        return FAULT_OK
    if page >= body.limit:
        return FAULT_BACKING
    from_file: cython.bint = body.fd >= 0 and (not body.memory or store_supplied(body, page) > 0)
    run: cython.pointer(uint32_t) = _run_of(body, phys, page) if from_file else cython.NULL
    if run == cython.NULL:
        found = phys.alloc_frame(False, not from_file)
    else:
        found = phys.alloc_in(run, body.owner, cython.cast(uint32_t, page & (RUN_FRAMES - 1)), False)
    if found == 0:
        return FAULT_NOMEM
    if from_file and not store_read(body, phys, page, found):
        phys.decref(found)
        return FAULT_BACKING
    if store_put(body, page, found) < 0:
        phys.decref(found)
        return FAULT_NOMEM
    pfn[0] = found
    return FAULT_OK


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _read_row(body: cython.pointer(FrameStoreBody), phys: PhysMemory, page: uint64_t, count: uint64_t) -> cython.bint:
    """Read `count` pages that are missing, frames side by side; whether all came in. The file's end ends them.

    Where the memory is a file the host moves them from one to the other: that costs no fault of ours for each page, and
    nobody's zeros. What it will not do so is read.
    """
    i: uint64_t
    at: cython.longlong
    done: uint64_t = 0
    end: uint64_t = count << PAGE_SHIFT
    got: cython.Py_ssize_t = 1
    run: cython.pointer(uint32_t) = _run_of(body, phys, page)
    first: uint64_t = 0
    if run != cython.NULL:
        first = phys.row_in_run(run, body.owner, cython.cast(uint32_t, page & (RUN_FRAMES - 1)), count)
    if first == 0:
        first = phys.alloc_in_a_row(count)
    if first == 0:
        return False
    moves: cython.bint = phys.fd >= 0 and phys.nwindows == 0 and not phys.forked
    if moves:
        moves = lseek(phys.fd, cython.cast(int64_t, first << PAGE_SHIFT), SEEK_SET) >= 0
    while done < end and got > 0:
        if moves:
            at = cython.cast(cython.longlong, (page << PAGE_SHIFT) + done)
            got = sendfile(phys.fd, body.fd, cython.address(at), end - done)
        else:
            got = pread(body.fd, phys.base + (first << PAGE_SHIFT) + done, end - done, (page << PAGE_SHIFT) + done)
        if got > 0:
            done += got
        elif got < 0 and (moves or errno == EINTR):
            moves = moves and errno == EINTR
            got = 1
    if done & (PAGE_SIZE - 1):  # past the end of the file the page is zero
        memset(phys.base + (first << PAGE_SHIFT) + done, 0, PAGE_SIZE - (done & (PAGE_SIZE - 1)))
    for i in range(count):
        if i << PAGE_SHIFT >= done or store_put(body, page + i, first + i) < 0:
            phys.decref(first + i)
            done = 0
    return done == end


def store_fill_row(body, phys, first, last):
    """Bring in what is missing of the pages [first, last] of a file, as far as it goes, without need: frames side by side,
    read at once. Lock held."""
    start: uint64_t
    page: uint64_t = first
    if body.fd < 0 or body.memory or last >= body.limit or last >> 51:
        return
    while page <= last:
        if store_get(body, page):
            page += 1
            continue
        start = page
        while page <= last and store_get(body, page) == 0 and (page == start or page & (RUN_FRAMES - 1)):
            page += 1
        if not _read_row(body, phys, start, page - start):
            return


def store_touch(body, page):
    """A mapping that shares the page may write it from now on."""
    at: uint64_t = store_slot(body, page)
    body.stamps[at] = body.clock
    if body.fd >= 0 and not body.memory:
        body.marks[at] |= STORE_WRITTEN


def store_date(body):
    """A mapping that shares a page begins to write to it: this becomes the file's time (file_update_time)."""
    now: timespec
    # The host's file systems go by the coarse clock: else a write(2) that follows could seem to be earlier.
    clock_gettime(CLOCK_REALTIME if body.memory else _CLOCK_REALTIME_COARSE, cython.address(now))
    body.dated = cython.cast(uint64_t, now.tv_sec) * 1000000000 + now.tv_nsec


def store_written(body, first, last):
    """Whether a page of [first, last] is marked as written."""
    i: uint64_t
    for i in range(body.capacity):
        if body.pfns[i] and body.marks[i] & STORE_WRITTEN and first <= body.keys[i] - 1 <= last:
            return True
    return False


def store_flush(body, phys, first, last, clear):
    """Write marked pages of [first, last] back, never past the end of the file. 0, or the host's errno of one that failed.

    `clear` takes the mark away, of frames that no live view shows.
    """
    i: uint64_t
    done: uint64_t
    count: uint64_t
    put: cython.Py_ssize_t
    failed: cython.int = 0
    status: struct_stat
    if body.out_fd < 0 or not store_written(body, first, last):
        return 0
    if fstat(body.out_fd, cython.address(status)) != 0:
        return errno
    for i in range(body.capacity):
        if body.pfns[i] == 0 or not body.marks[i] & STORE_WRITTEN or not first <= body.keys[i] - 1 <= last:
            continue
        done = (body.keys[i] - 1) << PAGE_SHIFT
        if clear and phys.pins[body.pfns[i]] == 0:
            body.marks[i] &= ~cython.cast(uint8_t, STORE_WRITTEN)
        if done >= cython.cast(uint64_t, status.st_size):
            continue
        count = cython.cast(uint64_t, status.st_size) - done
        if count > PAGE_SIZE:
            count = PAGE_SIZE
        done = 0
        while done < count:
            put = pwrite(
                body.out_fd,
                phys.base + (cython.cast(uint64_t, body.pfns[i]) << PAGE_SHIFT) + done,
                count - done,
                ((body.keys[i] - 1) << PAGE_SHIFT) + done,
            )
            if put < 0 and errno == EINTR:
                continue
            if put <= 0:
                failed = errno if put < 0 else EIO
                body.marks[i] |= STORE_WRITTEN
                break
            done += put
    return failed
