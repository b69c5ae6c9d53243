"""How the personality reaches user memory: through pointers, with Linux' own rules on top.

`access_ok` first (the end within user space, at length zero too), counts cut at MAX_RW_COUNT, strings of paths cut
at PATH_MAX, iovec arrays copied once and checked as `import_iovec` does. `UserIter` is the kernel's iov_iter: the rest
of one transfer, which moves on with every copy and stops at the first bad byte.

Transfers go in chunks of CHUNK bytes: what a guest's count says is never allocated.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from ctypes import c_char
from struct import unpack
from typing import TYPE_CHECKING

from .._core.pointer import UserConstPtr, UserPtr
from ..addr import VirtAddrRange
from ..errors import LinuxError, UserFault
from ..flags import READ, WRITE, MappingFlags

if TYPE_CHECKING:
    from .task import LinuxTask

USER_END = 0x7FFF_FFFF_F000
"""TASK_SIZE: one past the last byte of user space (x86-64, four levels)."""
MAX_RW_COUNT = 0x7FFF_F000
PATH_MAX = 4096
IOV_MAX = 1024
CHUNK = 1 << 18

Bytes = UserPtr[c_char]
ConstBytes = UserConstPtr[c_char]


def access_ok(address: int, size: int) -> bool:
    """Whether `[address, address + size)` ends within user space; says nothing about what is mapped."""
    return address + size <= USER_END


def require_user(task: LinuxTask, address: int, size: int, access: MappingFlags) -> None:
    """EFAULT unless `access_ok`."""
    if address + size > USER_END:
        raise task.space.fault(address, access, size=min(size, MAX_RW_COUNT))


def read_path(task: LinuxTask, ptr: UserConstPtr[c_char]) -> bytes:
    """The path at `ptr`, as `getname` reads it: EFAULT, ENAMETOOLONG from 4,096 bytes with the terminator on.

    An empty path is returned as it is: whether that is ENOENT is the caller's affair (AT_EMPTY_PATH).
    """
    return ptr.read_cstr(task, PATH_MAX - 1)


def get_bytes(task: LinuxTask, address: int, size: int) -> bytes:
    """`size` bytes at `address`, all or EFAULT; `size` is the size of a structure, never a guest's count."""
    data: bytes = ConstBytes(address).read_slice(task, size)
    return data


def put_bytes(task: LinuxTask, address: int, data: bytes) -> None:
    """All of `data` to `address`, or EFAULT; bytes before the bad one may have been written, as by copy_to_user."""
    Bytes(address).write_slice(task, data)


def good_prefix(task: LinuxTask, address: int, size: int, access: MappingFlags) -> int:
    """How many of the `size` bytes at `address` lie in areas that allow `access`, or could once a stack grows."""
    space = task.space
    allowed = WRITE if access & WRITE else READ | WRITE  # a page that may be written may be read (x86-64)
    at, end = address, min(address + size, USER_END)
    while at < end:
        area = space.find_area(at)
        if area is None:
            _, above = space.neighbours(at)
            if above is None or not space.check_region_access(VirtAddrRange(at, above.start), access):
                break
            at = above.start
        elif not area.flags & allowed:
            break
        else:
            at = area.end
    return max(0, min(at, end) - address)


class UserIter:
    """What is left of one transfer to or from user memory.

    count: bytes left. Segments are `(address, size)`; they are moved through in order.
    """

    __slots__ = ("_at", "_index", "_segments", "_task", "count")

    def __init__(self, task: LinuxTask, segments: Sequence[tuple[int, int]]) -> None:
        self._task = task
        self._segments = segments
        self._index = 0
        self._at = 0
        self.count = sum(size for _, size in segments)

    @classmethod
    def single(cls, task: LinuxTask, address: int, size: int) -> UserIter:
        return cls(task, ((address, size),))

    def _next(self) -> tuple[int, int]:
        """Address and size of what is left of the segment in hand."""
        while True:
            address, size = self._segments[self._index]
            if self._at < size:
                return address + self._at, size - self._at
            self._index += 1
            self._at = 0

    def copy_out(self, data: memoryview | bytes) -> int:
        """Write `data` (at most `count` bytes) to user memory; bytes written before the first bad one."""
        return self._copy(memoryview(data), True)

    def copy_in(self, buffer: memoryview | bytearray) -> int:
        """Fill `buffer` (at most `count` bytes) from user memory; bytes read before the first bad one."""
        return self._copy(memoryview(buffer), False)

    def _copy(self, view: memoryview, out: bool) -> int:
        done, want, task = 0, len(view), self._task
        while done < want:
            address, room = self._next()
            n = min(room, want - done)
            part = view[done : done + n]
            copied = Bytes(address).copy_out(task, part) if out else ConstBytes(address).copy_in(task, part)
            done += int(copied)
            self._at += int(copied)
            self.count -= int(copied)
            if copied < n:
                break
        return done

    def good(self, access: MappingFlags, limit: int) -> int:
        """How many of the next `limit` bytes lie in areas that allow `access`."""
        good, index, at = 0, self._index, self._at
        limit = min(limit, self.count)
        check = self._task.space.check_region_access
        while good < limit:
            address, size = self._segments[index]
            n = min(size - at, limit - good)
            if n:
                if address + at + n <= USER_END and check(VirtAddrRange(address + at, address + at + n), access):
                    good += n
                else:
                    return good + good_prefix(self._task, address + at, n, access)
            index, at = index + 1, 0
        return good

    def fault(self, access: MappingFlags, good: int = 0) -> UserFault:
        """The fault at the first bad byte, `good` bytes from here."""
        while good:
            _, size = self._next()
            step = min(size, good)
            self._at += step
            good -= step
        address, _ = self._next()
        start, size = self._segments[self._index]
        if address < USER_END:  # the copy would have touched it, which a stack notices
            self._task.space.handle_page_fault(address, access)
        return self._task.space.fault(address, access, size=size, completed=address - start)


def import_iovec(task: LinuxTask, ptr: UserConstPtr[c_char], count: int, access: MappingFlags) -> list[tuple[int, int]]:
    """The iovec array at `ptr`, read once: `(address, size)` pairs that together stay within MAX_RW_COUNT.

    EINVAL for more than IOV_MAX entries or a negative length, EFAULT for the array or an entry outside user space.
    """
    if count > IOV_MAX:
        raise LinuxError(errno.EINVAL)
    if count == 0:
        return []
    words = unpack(f"<{2 * count}Q", ptr.read_slice(task, 16 * count))
    segments = []
    left = MAX_RW_COUNT
    for base, size in zip(words[::2], words[1::2], strict=True):
        if size >> 63:
            raise LinuxError(errno.EINVAL)
        if count == 1:
            size = min(size, left)
        require_user(task, base, size, access)
        size = min(size, left)
        left -= size
        segments.append((base, size))
    return segments


__all__ = [
    "CHUNK",
    "IOV_MAX",
    "MAX_RW_COUNT",
    "PATH_MAX",
    "READ",
    "USER_END",
    "WRITE",
    "Bytes",
    "ConstBytes",
    "UserIter",
    "access_ok",
    "get_bytes",
    "good_prefix",
    "import_iovec",
    "put_bytes",
    "read_path",
    "require_user",
]
