"""Calls of the host's C library that Python has no name for, and reads and writes beside a hole.

What a read or write gives when its buffer runs into a hole differs from file to file: a file takes the good bytes, a
pipe gives EFAULT, /dev/null takes all. Nobody knows better than the host: `HoleBuffer` is a host buffer that ends
where a page without permission begins. The good bytes stand before that page, the host's own call is given the same
count, and its answer is the answer.
"""

from __future__ import annotations

import ctypes
import errno
import mmap

from ....addr import PAGE_SIZE
from ....errors import LinuxError
from ...uaccess import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

PAGE = PAGE_SIZE

_SIZED = frozenset({"read", "write", "pread64", "pwrite64", "getdents64"})  # these return a ssize_t
_libc: Any = None


def libc() -> Any:
    """The host's C library, with errno kept."""
    global _libc
    if _libc is None:
        _libc = ctypes.CDLL(None, use_errno=True)
    return _libc


def host(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call a function of `os`; what the host refuses, the guest is refused: OSError becomes LinuxError.

    This is the one place where a host error turns into the guest's.
    """
    try:
        return function(*args, **kwargs)
    except LinuxError:
        raise
    except OSError as error:
        raise LinuxError(error.errno or errno.EIO, error.strerror) from None
    except ValueError as error:  # a NUL in a path, a number out of the host's range
        raise LinuxError(errno.EINVAL, str(error)) from None
    except OverflowError as error:
        raise LinuxError(errno.EOVERFLOW, str(error)) from None


def map_probe(fd: int, offset: int) -> int:
    """The errno that mapping one page of a file at `offset` gives on the host; 0 for none. Nothing stays mapped."""
    function = libc().mmap
    function.restype = ctypes.c_ssize_t
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    found = function(None, PAGE, mmap.PROT_READ, mmap.MAP_PRIVATE, fd, offset)
    if found == -1:
        return ctypes.get_errno()
    libc().munmap(ctypes.c_void_p(found), ctypes.c_size_t(PAGE))
    return 0


def ccall(name: str, *args: Any) -> int:
    """`libc.name(*args)`; the result, or LinuxError with its errno if it is -1. ENOSYS if there is no such function."""
    try:
        function = getattr(libc(), name)
    except AttributeError:
        raise LinuxError(errno.ENOSYS, f"the host's C library has no {name}") from None
    function.restype = ctypes.c_ssize_t if name in _SIZED else ctypes.c_int
    while True:
        result = int(function(*args))
        if result != -1:
            return result
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise LinuxError(code)


class HoleBuffer:
    """CHUNK bytes of host memory, then two pages and more that fault at a touch."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, CHUNK + 3 * PAGE)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        ccall("mprotect", ctypes.c_void_p(self._base + CHUNK), ctypes.c_size_t(3 * PAGE), 0)
        self.view = memoryview(self._map)

    def transfer(self, call: str, fd: int, good: int, count: int, pos: int | None) -> int:
        """The host's `read`, `write`, `pread` or `pwrite` with `good` bytes before the hole and `count` in all.

        The good bytes are `view[CHUNK - good : CHUNK]`. What lies beyond the hole is cut to what the host could tell
        apart, so that the call cannot reach other memory of this process. LinuxError as the host gives it.
        """
        beyond = count - good
        if beyond > 2 * PAGE:
            beyond = PAGE + beyond % PAGE
        args: list[Any] = [fd, ctypes.c_void_p(self._base + CHUNK - good), ctypes.c_size_t(good + beyond)]
        if pos is not None:
            args.append(ctypes.c_int64(pos))
        return ccall(call, *args)


def host_statx(dirfd: int, path: bytes, flags: int, mask: int) -> bytes | None:
    """struct statx as the host fills it, the time of birth and the attributes in it; None if it has no such call."""
    raw = ctypes.create_string_buffer(256)
    try:
        ccall("statx", dirfd, path, flags, ctypes.c_uint(mask), raw)
    except LinuxError as error:
        if error.errno != errno.ENOSYS:
            raise
        return None
    return raw.raw


def changed_bytes(now: memoryview, before: bytes, least: int) -> int:
    """Up to where the bytes are not what they were, and `least` at least. By halving: what follows is equal."""
    end = len(before)
    while least < end:
        middle = (least + end) // 2
        if now[middle:] == before[middle:]:
            end = middle
        else:
            least = middle + 1
    return least
