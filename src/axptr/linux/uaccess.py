"""How the personality reaches user memory: through pointers, with Linux' own rules on top.

`access_ok` first (the end within user space, at length zero too), counts cut at MAX_RW_COUNT, strings of paths cut
at PATH_MAX. `UserIter` is the library's `IoStream`, the kernel's iov_iter, with what files ask of it: how much of a
transfer can be done at all, and which fault ends it.

Transfers go in chunks of CHUNK bytes: what a guest's count says is never allocated.
"""

from __future__ import annotations

import errno

from .._core.pointers.iovec import (
    IoStream,
    IoVec,
)
from .._core.pointers.pointer import BYTES, CONST_BYTES
from .._core.words.codes import IOV_MAX, MAX_RW_COUNT
from ..addr import PAGE_SIZE, VirtAddrRange
from ..errors import LinuxError, UserFault
from ..flags import READ, WRITE, MappingFlags
from ..kernel.task import Task
from .known import known_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import c_char

    from .._core.pointers.pointer import UserConstPtr, UserPtr

    Bytes = UserPtr[c_char]
    ConstBytes = UserConstPtr[c_char]
else:
    Bytes, ConstBytes = BYTES, CONST_BYTES  # without ctypes, for which a start has no time

USER_END = 0x7FFF_FFFF_F000
"""TASK_SIZE: one past the last byte of user space (x86-64, four levels)."""
PATH_MAX = 4096
_OFFSET = PAGE_SIZE - 1
_WORD = (1 << 64) - 1
"""Sums of a program's pointer and an offset wrap as the kernel's do."""
CHUNK = 1 << 18


def access_ok(address: int, size: int) -> bool:
    """Whether `[address, address + size)` ends within user space; says nothing about what is mapped."""
    return address + size <= USER_END


def require_user(task: Task, address: int, size: int, access: MappingFlags) -> None:
    """EFAULT unless `access_ok`."""
    if address + size > USER_END:
        raise task.space.fault(address, access, size=min(size, MAX_RW_COUNT))


def read_path(task: Task, ptr: UserConstPtr[c_char]) -> bytes:
    """The path at `ptr`, as `getname` reads it: EFAULT, ENAMETOOLONG from 4,096 bytes with the terminator on.

    An empty path is returned as it is: whether that is ENOENT is the caller's affair (AT_EMPTY_PATH).
    """
    return ptr.read_cstr(task, PATH_MAX - 1)


def get_bytes(task: Task, address: int, size: int) -> bytes:
    """`size` bytes at `address`, all or EFAULT; `size` is the size of a structure, never a guest's count."""
    if type(address) is not int and (known := known_bytes(address, size)) is not None:
        return known
    data: bytes = ConstBytes(address & _WORD).read_slice(task, size)
    return data


def get_struct(task: Task, address: int, size: int, known: int) -> bytes:
    """A structure of the program's idea of its size: what is beyond the `known` bytes must be zeroes (E2BIG), what it
    does not have is zero (copy_struct_from_user). The caller has limited `size`. EFAULT.
    """
    if type(address) is not int and (judged := known_bytes(address, size)) is not None:
        if judged[known:].strip(b"\0"):
            raise LinuxError(errno.E2BIG)
        return judged[:known].ljust(known, b"\0")
    require_user(task, address, size, READ)
    if size > known:
        rest = address + known, size - known
        good = good_prefix(task, *rest, READ)  # looked at as far as the first that is no zero (check_zeroed_user)
        if get_bytes(task, rest[0], good).strip(b"\0"):
            raise LinuxError(errno.E2BIG)
        if good < rest[1]:
            raise task.space.fault(rest[0] + good, READ, size=rest[1], completed=good)
    return get_bytes(task, address, min(size, known)).ljust(known, b"\0")


def put_bytes(task: Task, address: int, data: bytes) -> None:
    """All of `data` to `address`, or EFAULT at the first bad byte, those before it written: copy_to_user."""
    address &= _WORD
    done = int(Bytes(address).copy_out(task, data))
    if done < len(data):
        raise task.space.fault(address + done, WRITE, size=len(data), completed=done)


def put_user(task: Task, address: int, word: bytes) -> None:
    """A word to `address`, all of it or nothing and EFAULT: put_user."""
    address &= _WORD
    size = len(word)
    if (address & _OFFSET) + size > PAGE_SIZE:
        good = good_prefix(task, address, size, WRITE)
        if good < size:
            raise task.space.fault(address + good, WRITE, size=size)
    put_bytes(task, address, word)


def put_words(task: Task, address: int, data: bytes, size: int) -> None:
    """One word of so many bytes after the other; those before a bad one are written."""
    for at in range(0, len(data), size):
        put_user(task, address + at, data[at : at + size])


def good_prefix(task: Task, address: int, size: int, access: MappingFlags) -> int:
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


class UserIter(IoStream):
    """What is left of one transfer to or from user memory: `copy_in`, `copy_out`, and what Linux' files ask of it."""

    @classmethod
    def single(cls, task: Task, address: int, size: int) -> UserIter:
        return cls(task, IoVec._one(address, size))

    def again(self) -> UserIter:
        """Another one that stands where this one does."""
        other = UserIter(self.provider, self.iov)
        other.skip(self.iov.total - self.remaining)
        return other

    if TYPE_CHECKING:

        @property
        def count(self) -> int:
            """Bytes left."""

    else:
        count = IoStream.remaining  # without a frame of Python: files ask at every step

    @property
    def rest(self) -> tuple[tuple[int, int], ...]:
        """What is left, (address, size) each: plain data, of which `UserIter.over` makes another one."""
        if len(self.iov) == 1:
            ((address, size),) = self.iov
            done = size - self.remaining
            return ((address + done, size - done),) if self.remaining else ()
        index, at = self.position
        left = [(address, size) for address, size in list(self.iov)[index:]]
        if left and at:
            left[0] = left[0][0] + at, left[0][1] - at
        return tuple(left)

    @classmethod
    def over(cls, task: Task, rest: tuple[tuple[int, int], ...]) -> UserIter:
        return cls(task, IoVec._one(*rest[0]) if len(rest) == 1 else IoVec(rest))

    def good(self, access: MappingFlags, limit: int) -> int:
        """How many of the next `limit` bytes lie in areas that allow `access`."""
        task, iov = self.provider, self.iov
        left = self.remaining
        limit = min(limit, left)
        permits = task.space._permits
        if len(iov) == 1:  # as nearly all, and nearly all of them are good
            address, size = iov[0]
            start = address + size - left
            if start + limit <= USER_END and permits(start, limit, access):
                return limit
        good, (index, at) = 0, self.position
        while good < limit:
            address, size = iov[index]
            n = min(size - at, limit - good)
            if n:
                if address + at + n <= USER_END and permits(address + at, n, access):
                    good += n
                else:
                    return good + good_prefix(task, address + at, n, access)
            index, at = index + 1, 0
        return good

    def fault(self, access: MappingFlags, good: int = 0) -> UserFault:
        """The fault at the first bad byte, `good` bytes from here."""
        self.skip(good)
        index, at = self.position
        start, size = self.iov[index]
        if start + at < USER_END:  # the copy would have touched it, which a stack notices
            self.provider.space.handle_page_fault(start + at, access)
        fault: UserFault = self.provider.space.fault(start + at, access, size=size, completed=at)
        if len(self.iov) != 1:
            fault.object = f"iov[{index}].iov_base"
        return fault


def import_iovec(task: Task, ptr: UserConstPtr[c_char], count: int, access: MappingFlags) -> IoVec:
    """The iovec array at `ptr`, read once and judged as `import_iovec` does, user space ending at USER_END.

    count: of a register, of which Linux keeps an unsigned int.
    """
    return IoVec.read(task, ptr, count & 0xFFFF_FFFF, access, end=USER_END)


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
    "get_struct",
    "good_prefix",
    "import_iovec",
    "put_bytes",
    "put_user",
    "put_words",
    "read_path",
    "require_user",
]
