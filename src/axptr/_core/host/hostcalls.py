"""Calls of the host's C library that Python has no name for, or only in a module whose loading takes a start too long.

Each is the call itself: descriptors and bytes in, its result out, nothing copied that need not be; a call that a signal
interrupts is made again. All of them let other threads run while they last.

Not here: what may be asked of the host, and of which of its files (`axptr.linux.fs.host`, `axptr.linux.host`).

Failure: `LinuxError` with the call's errno, ENOSYS where the host has no such call. `TypeError` and `OverflowError` for
what is no argument; `ValueError` for a NUL in a path.
"""

import cython
from cython.cimports.axptr._core.host.hostcalls import (
    axptr_adjtimex,
    axptr_alarm_refused,
    axptr_getdents64,
    axptr_landlock_allow,
    axptr_landlock_restrict,
    axptr_landlock_ruleset,
    axptr_map_refused,
    axptr_openat2,
    axptr_poll,
    axptr_renameat2,
    axptr_sigwaitinfo,
    axptr_statx,
    axptr_tee,
    c_faccessat,
    c_fallocate,
    c_fchownat,
    c_fcntl,
    c_fstatfs,
    c_getauxval,
    c_getrlimit,
    c_linkat,
    c_prctl,
    c_utimensat,
    rlimit,
)
from cython.cimports.axptr._core.words.codes import PAGE_SIZE
from cython.cimports.cpython.buffer import (
    Py_buffer,
    PyBUF_WRITABLE,
    PyBuffer_FillInfo,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cython.cimports.libc.errno import EINTR, errno
from cython.cimports.posix.mman import (
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_PRIVATE,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    mmap,
    mprotect,
    munmap,
)
from cython.cimports.posix.unistd import pread, pwrite, read, write

from axptr.errors import LinuxError

STATX_SIZE = 256
STATFS_SIZE = 120
_TIMEX_SIZE = 208


@cython.cfunc
@cython.exceptval(-1, check=False)
def _text(path: bytes) -> cython.int:
    """Whether a path is one: `bytes` without a NUL."""
    if path is None:
        raise TypeError("a path is bytes, not None")
    if b"\0" in path:
        raise ValueError("a NUL in a path")
    return 0


@cython.cfunc
@cython.exceptval(-1, check=False)
def _refused() -> cython.int:
    """After a call that failed: 0 to make it again, else it raises."""
    if errno == EINTR:
        return 0
    raise LinuxError(errno)


# -- names


def openat2(at: cython.int, path: bytes, flags: cython.ulong, mode: cython.ulong, resolve: cython.ulong):
    """A new descriptor, or minus the errno: names that are not there are nothing unusual, and an exception costs."""
    fd: cython.int
    _text(path)
    text: cython.p_char = path
    while True:
        with cython.nogil:
            fd = axptr_openat2(at, text, flags, mode, resolve)
        if fd >= 0:
            return fd
        if errno != EINTR:
            return -errno


def statx(at: cython.int, path: bytes, flags: cython.int, mask: cython.uint):
    """struct statx, as the host fills it."""
    done: cython.int
    _text(path)
    text: cython.p_char = path
    found: bytes = PyBytes_FromStringAndSize(cython.NULL, STATX_SIZE)
    into: cython.p_char = PyBytes_AS_STRING(found)
    while True:
        with cython.nogil:
            done = axptr_statx(at, text, flags, mask, into)
        if done == 0:
            return found
        _refused()


def fstatfs(fd: cython.int):
    """struct statfs, as the host fills it."""
    done: cython.int
    found: bytes = PyBytes_FromStringAndSize(cython.NULL, STATFS_SIZE)
    into: cython.p_char = PyBytes_AS_STRING(found)
    while True:
        with cython.nogil:
            done = c_fstatfs(fd, into)
        if done == 0:
            return found
        _refused()


def faccessat(at: cython.int, path: bytes, mode: cython.int, flags: cython.int):
    """See access(2)."""
    done: cython.int
    _text(path)
    text: cython.p_char = path
    while True:
        with cython.nogil:
            done = c_faccessat(at, text, mode, flags)
        if done == 0:
            return
        _refused()


def renameat2(at: cython.int, name: bytes, goal: cython.int, goal_name: bytes, flags: cython.uint):
    """See rename(2)."""
    done: cython.int
    _text(name)
    _text(goal_name)
    old: cython.p_char = name
    new: cython.p_char = goal_name
    while True:
        with cython.nogil:
            done = axptr_renameat2(at, old, goal, new, flags)
        if done == 0:
            return
        _refused()


def linkat(at: cython.int, path: bytes, goal: cython.int, name: bytes, flags: cython.int):
    """See link(2)."""
    done: cython.int
    _text(path)
    _text(name)
    old: cython.p_char = path
    new: cython.p_char = name
    while True:
        with cython.nogil:
            done = c_linkat(at, old, goal, new, flags)
        if done == 0:
            return
        _refused()


def fchownat(at: cython.int, path: bytes, uid: cython.uint, gid: cython.uint, flags: cython.int):
    """See chown(2)."""
    done: cython.int
    _text(path)
    text: cython.p_char = path
    while True:
        with cython.nogil:
            done = c_fchownat(at, text, uid, gid, flags)
        if done == 0:
            return
        _refused()


def utimensat(at: cython.int, path: bytes, times, flags: cython.int):
    """times: two struct timespec; None for now."""
    done: cython.int
    _text(path)
    text: cython.p_char = path
    pair: cython.p_char = cython.NULL
    if times is not None:
        if len(cython.cast(bytes, times, typecheck=True)) != 32:
            raise ValueError(f"two times take 32 bytes, not {len(times)}")
        pair = PyBytes_AS_STRING(times)
    while True:
        with cython.nogil:
            done = c_utimensat(at, text, pair, flags)
        if done == 0:
            return
        _refused()


# -- open files


def getdents64(fd: cython.int, into):
    """The next entries of a directory, in a writable buffer; how many bytes."""
    n: cython.long
    view: Py_buffer
    PyObject_GetBuffer(into, cython.address(view), PyBUF_WRITABLE)
    try:
        while True:
            with cython.nogil:
                n = axptr_getdents64(fd, view.buf, view.len)
            if n >= 0:
                return n
            _refused()
    finally:
        PyBuffer_Release(cython.address(view))


def fallocate(fd: cython.int, mode: cython.int, offset: cython.long, size: cython.long):
    """See fallocate(2)."""
    done: cython.int
    while True:
        with cython.nogil:
            done = c_fallocate(fd, mode, offset, size)
        if done == 0:
            return
        _refused()


def tee(fd: cython.int, goal: cython.int, size: cython.size_t, flags: cython.uint):
    """How many bytes of a pipe are in another one too now."""
    n: cython.long
    while True:
        with cython.nogil:
            n = axptr_tee(fd, goal, size, flags)
        if n >= 0:
            return n
        _refused()


def fcntl(fd: cython.int, command: cython.int, argument: cython.long = 0):
    """fcntl(2) with a number, or none."""
    result: cython.int
    while True:
        with cython.nogil:
            result = c_fcntl(fd, command, argument)
        if result != -1:
            return result
        _refused()


def poll_now(fd: cython.int, events: cython.int):
    """Which events of poll(2) there are on a descriptor now, errors and hang-ups too; POLLNVAL for none."""
    found: cython.int
    while True:
        with cython.nogil:
            found = axptr_poll(fd, events & 0xFFFF)
        if found >= 0:
            return found
        _refused()


def map_refused(fd: cython.int, offset: cython.long):
    """The errno that mapping one page of a file at `offset` gives on the host; 0 for none. Nothing stays mapped."""
    refused: cython.int
    with cython.nogil:
        refused = axptr_map_refused(fd, offset, PAGE_SIZE)
    return refused


# -- the process and the machine


def getrlimit(number: cython.int):
    """A resource limit of this process, soft and hard; all ones for none."""
    limit: rlimit
    if c_getrlimit(number, cython.address(limit)) < 0:
        raise LinuxError(errno)
    return limit.rlim_cur, limit.rlim_max


def prctl(option: cython.int, argument: cython.ulong = 0):
    """What prctl(2) gives for options with one argument and a number for a result."""
    result: cython.int = c_prctl(option, argument, 0, 0, 0)
    if result == -1:
        raise LinuxError(errno)
    return result


def landlock_version():
    """That of Landlock's interface, from 1."""
    version: cython.int = axptr_landlock_ruleset(cython.NULL, 0, 1)
    if version < 0:
        raise LinuxError(errno)
    return version


def landlock_ruleset(attributes: bytes):
    """The descriptor of a new set of rules. attributes: struct landlock_ruleset_attr, as long as the version has it."""
    size: cython.size_t = len(attributes)
    rules: cython.int = axptr_landlock_ruleset(PyBytes_AS_STRING(attributes), size, 0)
    if rules < 0:
        raise LinuxError(errno)
    return rules


def landlock_allow(rules: cython.int, rights: cython.ulong, fd: cython.int):
    """A rule more: these rights beneath that directory, or of that file."""
    if axptr_landlock_allow(rules, rights, fd):
        raise LinuxError(errno)


def landlock_restrict(rules: cython.int):
    """This thread, and those that it makes, to the rules, for good."""
    if axptr_landlock_restrict(rules):
        raise LinuxError(errno)


def getauxval(kind: cython.ulong):
    """A number that the kernel gave this process at its start; 0 for none."""
    return c_getauxval(kind)


def alarm_refused(clock: cython.int):
    """The errno of sleeping by a clock; 0 if something can wake by it."""
    refused: cython.int
    with cython.nogil:
        refused = axptr_alarm_refused(clock)
    return refused


def adjtimex(timex: bytes):
    """The state of the clock, and struct timex as the host has filled it."""
    state: cython.int
    if len(timex) != _TIMEX_SIZE:
        raise ValueError(f"struct timex takes {_TIMEX_SIZE} bytes, not {len(timex)}")
    found: bytes = PyBytes_FromStringAndSize(PyBytes_AS_STRING(timex), _TIMEX_SIZE)
    into: cython.p_char = PyBytes_AS_STRING(found)
    with cython.nogil:
        state = axptr_adjtimex(into)
    if state < 0:
        raise LinuxError(errno)
    return state, found


def sigwaitinfo(wanted: cython.ulong):
    """Wait for one of the signals in a mask (bit n - 1 for signal n); its number and siginfo_t. 0 if there was another."""
    number: cython.int
    found: bytes = PyBytes_FromStringAndSize(cython.NULL, 128)
    into: cython.p_char = PyBytes_AS_STRING(found)
    with cython.nogil:
        number = axptr_sigwaitinfo(wanted, into)
    return max(number, 0), found


@cython.final
@cython.cclass
class HoleBuffer:
    """`size` bytes of host memory (whole pages), then three pages that fault at a touch. A buffer of all of it.

    What a read or write gives when its buffer runs into a hole differs from file to file, and nobody knows better than
    the host: the good bytes stand before the hole, the host's own call is given the same count, its answer is the answer.
    """

    def __cinit__(self, size: cython.size_t):
        if size == 0 or size % PAGE_SIZE or size > 1 << 30:
            raise ValueError(f"{size} bytes are no whole pages")
        where: cython.p_void = mmap(
            cython.NULL, size + 3 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0
        )
        if where == MAP_FAILED:
            raise LinuxError(errno)
        self.base = cython.cast(cython.p_uchar, where)
        self.size = size
        self.whole = size + 3 * PAGE_SIZE
        if mprotect(self.base + size, 3 * PAGE_SIZE, PROT_NONE) < 0:
            raise LinuxError(errno)

    def __dealloc__(self):
        if self.base != cython.NULL:
            munmap(self.base, self.whole)

    @property
    def view(self):
        """The bytes before the hole."""
        return memoryview(self)

    def __getbuffer__(self, buffer: cython.pointer(Py_buffer), flags: cython.int):
        PyBuffer_FillInfo(buffer, self, self.base, self.size, 0, flags)

    def transfer(self, call: str, fd: cython.int, good: cython.size_t, count: cython.size_t, pos):
        """The host's `read`, `write`, `pread64`, `pwrite64` or `getdents64` with `good` bytes before the hole and `count`
        in all.

        The good bytes are the last of `view`. What lies beyond the hole is cut to what the host could tell apart, so
        that the call cannot reach other memory of this process. LinuxError as the host gives it.
        """
        n: cython.Py_ssize_t
        at: cython.long = 0 if pos is None else pos
        if good > self.size or count < good:
            raise ValueError("more good bytes than there are")
        beyond: cython.size_t = count - good
        if beyond > 2 * PAGE_SIZE:
            beyond = PAGE_SIZE + beyond % PAGE_SIZE
        count = good + beyond
        where: cython.p_uchar = self.base + self.size - good
        which: cython.int = ("read", "write", "pread64", "pwrite64", "getdents64").index(call)
        while True:
            with cython.nogil:
                if which == 0:
                    n = read(fd, where, count)
                elif which == 1:
                    n = write(fd, where, count)
                elif which == 2:
                    n = pread(fd, where, count, at)
                elif which == 3:
                    n = pwrite(fd, where, count, at)
                else:
                    n = axptr_getdents64(fd, where, count)
            if n >= 0:
                return n
            _refused()
