"""Live views: user memory as a Python buffer, its frames pinned for as long as anything looks at them.

A `PinnedView` exports the buffer. Frames that do not lie side by side are mapped side by side again, from the memory
file, in a window of their own: frames never move. Without a memory file they cannot be: `BufferError`. After unmap, clone, restore or the death of the space the view
still shows the frames it was given, which nobody else gets before it is gone.

Not here: which verbs give views, and of what type (`pointer`).
"""

import errno

import cython
from cython.cimports.axptr._core.mm.journal import journal_watch
from cython.cimports.axptr._core.phys.coherence import FRAME_CODE
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

    def pin(self, space, vaddr, bad):
        """Pin the frames of the pages from that of `vaddr` on, which are present. FAULT_OK, or why not of `*bad`. Lock held."""
        code: cython.int
        at: uint64_t = page_start(vaddr)
        npages: uint64_t = ((vaddr & IN_PAGE) + self.nbytes + IN_PAGE) >> PAGE_SHIFT
        self.pfns = cython.cast(cython.pointer(uint64_t), malloc(npages * 8))
        if self.pfns == cython.NULL:
            raise MemoryError
        while self.npages < npages:
            bad[0] = vaddr if self.npages == 0 else at
            code = space.own(at, self.pfns + self.npages)
            if code != FAULT_OK:
                return code
            self.pin_page(space, at, self.pfns[self.npages])
            self.npages += 1
            at += PAGE_SIZE
        return FAULT_OK

    def pin_page(self, space, at, pfn):
        self.phys.pin_frame(pfn)
        self.phys.nviewed += 1
        if self.readonly:
            return
        journal_watch(cython.address(space.journal), at)
        if self.phys.flags[pfn] & FRAME_CODE:
            self.phys.watch(pfn)
            self.phys.code_changed(pfn)

    def side_by_side(self):
        """Where the pages are seen side by side: in the memory itself, or in a window of their own."""
        if self.run_from(0) == self.npages:
            return self.phys.base + (self.pfns[0] << PAGE_SHIFT)
        if self.phys.fd < 0:
            raise BufferError(
                f"{self.npages} pages lie in frames that are not side by side, and this host has no memory file "
                "(memfd_create) to map them from a second time: use the copying verbs, or a view of one page"
            )
        self.open_window()
        return self.window

    def run_from(self, first):
        """The end of the run of frames side by side that begins with number `first`."""
        i: uint64_t = first + 1
        while i < self.npages and self.pfns[i] == self.pfns[i - 1] + 1:
            i += 1
        return i

    def open_window(self):
        """Map the frames side by side. Raises `LinuxError(ENOMEM)`."""
        first: uint64_t = 0
        end: uint64_t
        where: cython.p_void = mmap(
            cython.NULL, self.npages << PAGE_SHIFT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0
        )
        if where == MAP_FAILED:
            raise LinuxError(errno.ENOMEM, "the host has no room for a window of the frames")
        self.window = cython.cast(cython.pointer(uint8_t), where)
        axptr_lock_gil(self.phys.lock)
        for first in range(self.npages):
            self.phys.bring(self.pfns[first])
        axptr_unlock(self.phys.lock)
        first = 0
        while first < self.npages:
            end = self.run_from(first)
            where = mmap(
                self.window + (first << PAGE_SHIFT),
                (end - first) << PAGE_SHIFT,
                PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_FIXED,
                self.phys.fd,
                self.pfns[first] << PAGE_SHIFT,
            )
            if where == MAP_FAILED:
                raise LinuxError(errno.ENOMEM, "the host cannot map the frames side by side")
            first = end
        self.phys.spaces.add(self)
        return 0

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
    bad: uint64_t = 0
    code: cython.int
    view: PinnedView = PinnedView.__new__(PinnedView)
    space.phys.alive()
    view.phys = space.phys
    view.nbytes = count * size
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
        code = _demanded(space, vaddr, view.nbytes, align, access, cython.address(bad))
        if code == FAULT_OK:
            code = view.pin(space, vaddr, cython.address(bad))
    finally:
        axptr_unlock(space.lock)
    if code != FAULT_OK:
        space.fail(code, bad, access, view.nbytes, bad - vaddr)
    view.start = view.side_by_side() + (vaddr & IN_PAGE)
    return memoryview(view)


@cython.cfunc
@cython.exceptval(-1)
def _demanded(
    space: SpaceCore,
    vaddr: uint64_t,
    size: uint64_t,
    align: uint64_t,
    access: cython.int,
    bad: cython.pointer(uint64_t),
) -> cython.int:
    """`demand`, pagers served. The lock is held at its begin and its end, not in between."""
    code: cython.int
    while True:
        code = space.demand(vaddr, size, align, access, bad)
        if code != FAULT_PYTHON:
            return code
        axptr_unlock(space.lock)
        try:
            space.supply_from(bad[0], access, vaddr, size)
        finally:
            axptr_lock_gil(space.lock)
