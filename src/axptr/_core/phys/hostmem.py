"""The host's memory under a `PhysMemory`: how it is mapped, how it goes back, and what becomes of it at a fork.

One sparse contiguous mapping of a memory file. Where the host gives no memory file (an old kernel, a sandbox that forbids
memfd_create(2), a low RLIMIT_FSIZE) the mapping is anonymous and private: all is the same but that pages cannot be mapped a second time,
so that views show only frames that lie side by side.

A fork of the host process leaves the memory with the parent. In the child, what live views show is a copy of then, and
everything else refuses, see `alive`: two processes must not keep the books of one memory.

Frames may show a file of the host's instead of the memory file (`show_file_at`), read when somebody looks at them. Such a
frame is never written: it is always somebody else's, too. Who maps the memory file has it brought there first (`bring`).

Not here: which pages are in use, and by whom (`phys`, which derives from this class and says what is pinned).

Locking: `lock`, the lock of `phys`, is held while pinned pages are copied. A child begins with it free.

Failure: `LinuxError(ENOMEM)` for a mapping; a fork always goes on, with a `RuntimeWarning` where the host has no room for the copies.
"""

import errno
import os
from _thread import get_ident

import cython
from cython.cimports.axptr._core.phys.hostmem import SEEK_DATA, SEEK_HOLE, WINDOW_PIECE, Window
from cython.cimports.axptr._core.words.codes import PAGE_SHIFT
from cython.cimports.axptr._core.words.lock import axptr_lock, axptr_lock_gil, axptr_unlock
from cython.cimports.libc.errno import errno as ERRNO
from cython.cimports.libc.stdint import int64_t, uint8_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free, realloc
from cython.cimports.libc.string import memset
from cython.cimports.posix.mman import (
    MADV_DONTNEED,
    MADV_REMOVE,
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_FIXED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_READ,
    PROT_WRITE,
    madvise,
    mmap,
    munmap,
)
from cython.cimports.posix.unistd import close, lseek, pwrite

from axptr.errors import LinuxError
from axptr.weak import WeakSet

_all_memories: "WeakSet[HostMemory]" = WeakSet()


def lazy(nbytes):
    """Zeroed host memory that costs nothing until touched."""
    where: cython.p_void = mmap(
        cython.NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0
    )
    return cython.NULL if where == MAP_FAILED else where


_MFD_NOEXEC_SEAL = cython.declare(cython.int, 8)


def _memory_file(size):
    """The descriptor of a new memory file of `size` bytes, -1 where the host has none to give."""
    create = getattr(os, "memfd_create", None)  # not there in a Python built for a C library without it
    if create is None:
        return -1
    try:
        try:
            fd = create("axptr", os.MFD_CLOEXEC | _MFD_NOEXEC_SEAL)  # vm.memfd_noexec may insist on that
        except OSError as error:
            if error.errno != errno.EINVAL:  # before Linux 6.3
                raise
            fd = create("axptr", os.MFD_CLOEXEC)
    except OSError as failure:
        # No such call, or a sandbox or vm.memfd_noexec that forbids it. No room (ENOMEM, EMFILE) is another matter.
        if failure.errno in (errno.ENOSYS, errno.EPERM, errno.EACCES):
            return -1
        raise
    try:
        os.ftruncate(fd, size)
    except OSError as failure:
        os.close(fd)
        if failure.errno == errno.EFBIG:  # RLIMIT_FSIZE is for this file too
            return -1
        raise
    return fd


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _write_out(fd: cython.int, base: cython.pointer(uint8_t), at: int64_t, end: int64_t) -> cython.bint:
    """Write the memory from `at` to `end` to the same places of a file; whether all of it was."""
    got: cython.Py_ssize_t
    while at < end:
        got = pwrite(fd, base + at, end - at, at)
        if got <= 0:
            return False
        at += got
    return True


class HostMemory:
    """`size` bytes of the host's memory; `fd` is its memory file, -1 where the host gives none."""

    def __cinit__(self):
        self.fd = -1

    def map_host(self, nbytes):
        """Map `nbytes` of zeroed memory that costs nothing until touched. `LinuxError(ENOMEM)` if the host cannot."""
        where: cython.p_void
        self.size = nbytes
        self.lock = cython.cast(cython.pointer(axptr_lock), calloc(1, cython.sizeof(axptr_lock)))
        if self.lock == cython.NULL:
            raise LinuxError(errno.ENOMEM, "the host has no room for a lock")
        try:
            self.fd = _memory_file(self.size)
        except OSError as failure:
            raise LinuxError(
                errno.ENOMEM, f"the host gives no memory file of {self.size:#x} bytes: {failure}"
            ) from None
        if self.fd >= 0:
            where = mmap(cython.NULL, self.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, self.fd, 0)
        else:
            # Private, so that a fork makes the child's copy by itself.
            where = lazy(self.size)
            if where == cython.NULL:
                where = MAP_FAILED
        if where == MAP_FAILED:
            raise LinuxError(errno.ENOMEM, f"the host cannot map {self.size:#x} bytes")
        self.base = cython.cast(cython.pointer(uint8_t), where)
        _all_memories.add(self)
        return 0

    def __dealloc__(self):
        i: uint64_t
        if self.base:
            munmap(self.base, self.size)
        if self.fd >= 0:
            close(self.fd)  # not os.close: at the interpreter's end that module may be gone
        for i in range(self.nwindows):
            free(self.windows[i].there)
        free(self.windows)
        free(self.lock)

    def show_file_at(self, first, count, fd, offset):
        """Let `count` frames from number `first` on, which are fresh, show the pages of a file from `offset` on. `OSError`."""
        where: cython.p_void
        grown: cython.pointer(Window) = cython.cast(
            cython.pointer(Window), realloc(self.windows, (self.nwindows + 1) * cython.sizeof(Window))
        )
        if grown == cython.NULL:
            raise MemoryError
        self.windows = grown
        grown[self.nwindows].there = cython.cast(
            cython.pointer(uint8_t), calloc(count // cython.cast(uint64_t, WINDOW_PIECE) + 1, 1)
        )
        if grown[self.nwindows].there == cython.NULL:
            raise MemoryError
        grown[self.nwindows].first = first
        grown[self.nwindows].count = count
        where = mmap(
            self.base + (first << PAGE_SHIFT),
            count << PAGE_SHIFT,
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
            fd,
            offset,
        )
        if where == MAP_FAILED:
            failed: cython.int = ERRNO
            free(grown[self.nwindows].there)
            raise OSError(failed, os.strerror(failed))
        self.nwindows += 1
        return 0

    def bring(self, pfn):
        """The memory file is about to be mapped where this frame is: have its bytes there. -1 if they cannot be had. Lock
        held."""
        i: uint64_t
        piece: uint64_t
        at: int64_t
        end: int64_t
        size: uint64_t = cython.cast(uint64_t, WINDOW_PIECE)
        for i in range(self.nwindows):
            if pfn < self.windows[i].first or pfn - self.windows[i].first >= self.windows[i].count:
                continue
            piece = (pfn - self.windows[i].first) // size
            if self.windows[i].there[piece]:
                return 0
            at = cython.cast(int64_t, (self.windows[i].first + piece * size) << PAGE_SHIFT)
            end = at + cython.cast(int64_t, min(size, self.windows[i].count - piece * size) << PAGE_SHIFT)
            if not _write_out(self.fd, self.base, at, end):
                return -1
            self.windows[i].there[piece] = 1
            return 0
        return 0

    def give_back(self, start, nbytes):
        """Give pages back to the host: they read as zero from now on."""
        if madvise(self.base + start, nbytes, MADV_REMOVE if self.fd >= 0 else MADV_DONTNEED) != 0:
            memset(self.base + start, 0, nbytes)

    def next_pinned(self, first, last):
        """The next run of pages that views show, [first, last), from page `last` on; False if there is none."""
        return False

    def alive(self):
        if self.forked:
            raise RuntimeError("this PhysMemory belongs to the parent process: after a fork, make a new one")
        return 0

    def _spaces(self):
        """What shows the memory and must hear of a fork: all with an `_after_fork`."""
        return []

    def _before_fork(self):
        """The pinned pages, copied to a memory file for the child if views show any: its descriptor, -1 for none.

        A private mapping of our file would be no copy: pages that the child has not written yet follow what the parent
        does with them, up to giving them to another owner. (Anonymous memory is copied by the fork itself.)
        """
        if self.fd < 0 or self.nviewed == 0:
            return -1
        spare = _memory_file(self.size)
        if spare >= 0:
            try:
                self._copy_pinned(spare)
            except OSError:
                os.close(spare)
                raise
        return spare

    def _copy_pinned(self, spare):
        """Copy the pinned pages into the file `spare`, those that it does not have yet."""
        first: uint64_t = 0
        last: uint64_t = 0
        at: int64_t
        end: int64_t
        stop: int64_t
        good: cython.bint = True
        fd: cython.int = spare
        axptr_lock_gil(self.lock)
        while good and self.next_pinned(cython.address(first), cython.address(last)):
            end = cython.cast(int64_t, last << PAGE_SHIFT)
            at = lseek(fd, cython.cast(int64_t, first << PAGE_SHIFT), SEEK_HOLE)
            while good and 0 <= at < end:
                stop = lseek(fd, at, SEEK_DATA)
                if stop < 0 or stop > end:
                    stop = end
                good = _write_out(fd, self.base, at, stop)
                at = lseek(fd, stop, SEEK_HOLE)
        axptr_unlock(self.lock)
        if not good:
            raise LinuxError(errno.ENOMEM, "the host has no room for a copy of what live views show")

    def _after_fork(self, spare):
        """In the child: what views show is a copy, in the file `spare` if there is one; everything else refuses."""
        sharing: cython.int = MAP_PRIVATE
        self.forked = True
        memset(self.lock, 0, cython.sizeof(axptr_lock))  # its holder, if any, is a thread of the parent
        try:  # for views that another thread took meanwhile: a copy too, of now
            if spare >= 0:
                self._copy_pinned(spare)
            else:
                spare = self._before_fork()
        except OSError:
            pass
        if spare >= 0:
            os.dup2(spare, self.fd, inheritable=False)
            os.close(spare)
            self.copied = True
            sharing = MAP_SHARED
        if self.fd >= 0:
            mmap(self.base, self.size, PROT_READ | PROT_WRITE, sharing | MAP_FIXED | MAP_NORESERVE, self.fd, 0)
        for space in self._spaces():
            space._after_fork()


_spares: "dict[int, list[tuple[HostMemory, int]]]" = {}
"""By the thread that forks: memories, and the files with the copies that its child takes over."""


def _before():
    mine = _spares[get_ident()] = []
    for memory in list(_all_memories):
        try:
            spare = cython.cast(HostMemory, memory)._before_fork()
        except OSError as failure:
            # The fork goes on, and the child tries again. Else its views are private mappings, see `_before_fork`.
            import warnings  # which a start need not pay for

            warnings.warn(f"live views are no copy in the forked child: {failure}", RuntimeWarning, stacklevel=2)
            continue
        if spare >= 0:
            mine.append((memory, spare))


def _parent():
    for _, spare in _spares.pop(get_ident(), ()):
        os.close(spare)


def _child():
    mine = {id(memory): spare for memory, spare in _spares.pop(get_ident(), ())}
    for others in _spares.values():  # of threads that were about to fork too: they are not here
        for _, spare in others:
            os.close(spare)
    _spares.clear()
    for memory in list(_all_memories):
        cython.cast(HostMemory, memory)._after_fork(mine.get(id(memory), -1))


os.register_at_fork(before=_before, after_in_parent=_parent, after_in_child=_child)
