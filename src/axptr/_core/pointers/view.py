"""Live views: user memory as a Python buffer, its frames pinned for as long as anything looks at them.

A `PinnedView` exports the buffer. Frames that do not lie side by side are mapped side by side again, from the memory
file, in a window of their own: frames never move. Without a memory file they cannot be: `BufferError`. After unmap, clone, restore or the death of the space the view
still shows the frames it was given, which nobody else gets before it is gone.

Not here: which verbs give views, and of what type (`pointer`).
"""

import errno

import cython
from cython.cimports.axptr._core.mm.journal import journal_watch
from cython.cimports.axptr._core.phys.phys import FRAME_CODE, PhysMemory
from cython.cimports.axptr._core.words.codes import (
    FAULT_OK,
    FAULT_PYTHON,
    IN_PAGE,
    PAGE_SHIFT,
    PAGE_SIZE,
    WRITE,
    page_start,
)
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.libc.stdint import uint8_t, uint64_t
from cython.cimports.libc.stdlib import free, malloc
from cython.cimports.posix.mman import (
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_FIXED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    mmap,
    munmap,
)

from axptr.errors import LinuxError


@cython.no_gc_clear
@cython.cclass
class PinnedView:
    """A buffer over pinned frames; made by `pin_span`, seen by users only through a `memoryview`."""

    def __getbuffer__(self, buffer: cython.pointer(Py_buffer), flags: cython.int):
        if flags & 1 and self.readonly:  # PyBUF_WRITABLE
            raise BufferError("this view of user memory is read-only")
        buffer.buf = self.start
        buffer.obj = self
        buffer.len = self.nbytes
        buffer.readonly = self.readonly
        buffer.itemsize = self.itemsize
        buffer.format = cython.cast(cython.p_char, self.format)
        buffer.ndim = self.ndim
        buffer.shape = cython.address(self.shape[0])
        buffer.strides = cython.address(self.strides[0])
        buffer.suboffsets = cython.NULL
        buffer.internal = cython.NULL

    def __dealloc__(self):
        i: uint64_t
        if self.window != cython.NULL:
            munmap(self.window, self.npages << PAGE_SHIFT)
        if self.pfns != cython.NULL:
            if not self.phys.forked:
                axptr_lock_gil(self.phys.lock)
                for i in range(self.npages):
                    self.phys.unpin_frame(self.pfns[i])
                self.phys.nviewed -= self.npages
                axptr_unlock(self.phys.lock)
            free(self.pfns)

    def _after_fork(self):
        """In a forked child: the window shows the child's copy too, or one of its own if the child has no file."""
        i: uint64_t
        sharing: cython.int = MAP_SHARED if self.phys.copied else MAP_PRIVATE
        for i in range(self.npages):
            mmap(
                self.window + (i << PAGE_SHIFT),
                PAGE_SIZE,
                PROT_READ | PROT_WRITE,
                sharing | MAP_FIXED,
                self.phys.fd,
                self.pfns[i] << PAGE_SHIFT,
            )

    def __reduce__(self):
        raise TypeError("a live view of user memory cannot be pickled")


def pin_span(space, vaddr, count, size, align, access, format, rows):
    """A `memoryview` of `count` elements of `size` bytes at `vaddr`, checked for `access` and pinned.

    With `rows` it has the shape (count, size) of bytes. Writable if `access` has WRITE. Raises as `check_region`,
    `BufferError` for scattered frames where the host has no memory file to map them from.
    """
    i: uint64_t
    at: uint64_t
    done: uint64_t = 0
    bad: uint64_t = 0
    code: cython.int
    total: uint64_t = count * size
    first: uint64_t = page_start(vaddr)
    npages: uint64_t = ((vaddr & IN_PAGE) + total + IN_PAGE) >> PAGE_SHIFT
    phys: PhysMemory = space.phys
    view: PinnedView = PinnedView.__new__(PinnedView)
    where: cython.p_void
    phys.alive()
    view.phys = phys
    view.nbytes = total
    view.readonly = not access & WRITE
    view.format = format
    view.itemsize = 1 if rows else size
    view.ndim = 2 if rows else 1
    view.shape[0] = count
    view.shape[1] = size
    view.strides[0] = size
    view.strides[1] = 1
    axptr_lock_gil(space.lock)
    try:
        while True:
            code = space.demand(vaddr, total, align, access, cython.address(bad))
            if code != FAULT_PYTHON:
                break
            axptr_unlock(space.lock)
            try:
                space.supply_from(bad, access, vaddr, total)
            finally:
                axptr_lock_gil(space.lock)
        if code == FAULT_OK:
            view.pfns = cython.cast(cython.pointer(uint64_t), malloc(npages * 8))
            if view.pfns == cython.NULL:
                raise MemoryError
            while done < npages:
                at = first + (done << PAGE_SHIFT)
                bad = vaddr if done == 0 else at
                code = space.own(at, view.pfns + done)
                if code != FAULT_OK:
                    break
                phys.pin_frame(view.pfns[done])
                phys.nviewed += 1
                done += 1
                if not view.readonly:
                    journal_watch(cython.address(space.journal), at)
                if not view.readonly and phys.flags[view.pfns[done - 1]] & FRAME_CODE:
                    phys.watch(view.pfns[done - 1])
                    phys.code_changed(view.pfns[done - 1])
            view.npages = done
    finally:
        axptr_unlock(space.lock)
    if code != FAULT_OK:
        space.fail(code, bad, access, total, bad - vaddr)
    for i in range(1, npages):
        if view.pfns[i] != view.pfns[i - 1] + 1:
            break
    else:
        view.start = phys.base + (view.pfns[0] << PAGE_SHIFT) + (vaddr & IN_PAGE)
        return memoryview(view)
    if phys.fd < 0:
        raise BufferError(
            f"{npages} pages at {first:#x} lie in frames that are not side by side, and this host has no memory file "
            "(memfd_create) to map them from a second time: use the copying verbs, or a view of one page"
        )
    where = mmap(cython.NULL, npages << PAGE_SHIFT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    if where == MAP_FAILED:
        raise LinuxError(errno.ENOMEM, "the host has no room for a window of the frames")
    view.window = cython.cast(cython.pointer(uint8_t), where)
    done = 0
    while done < npages:
        i = done + 1
        while i < npages and view.pfns[i] == view.pfns[i - 1] + 1:
            i += 1
        where = mmap(
            view.window + (done << PAGE_SHIFT),
            (i - done) << PAGE_SHIFT,
            PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_FIXED,
            phys.fd,
            view.pfns[done] << PAGE_SHIFT,
        )
        if where == MAP_FAILED:
            raise LinuxError(errno.ENOMEM, "the host cannot map the frames side by side")
        done = i
    view.start = view.window + (vaddr & IN_PAGE)
    phys.spaces.add(view)
    return memoryview(view)
