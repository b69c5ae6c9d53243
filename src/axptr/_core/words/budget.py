"""`Budget`: how much host memory the counts of one program may make the kernel fill.

A provider has one (`task.budget = Budget(per_call=1 << 20)`) or none. What a count or a terminator decides is charged before it
is allocated: `read_slice`, the verbs that read text, `UserSliceReader.read`, `UserFile.read`, `read_string_array`. What
goes into a buffer of the caller's is not, nor what one T takes, whose size no program chooses.

Not here: frames (`PhysMemory(limit=)`), time.

Failure: `LinuxError(ENOMEM)`, as where the kernel finds no room; nothing is copied then, and nothing charged.
"""

import errno

import cython
from cython.cimports.axptr._core.words.budget import Budget
from cython.cimports.libc.stdint import uint64_t
from cython.cimports.posix.mman import (
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_PRIVATE,
    PROT_READ,
    PROT_WRITE,
    mmap,
    munmap,
)

from axptr._core.words.visit import visited
from axptr.addr import checked_size
from axptr.errors import LinuxError

_ENDLESS = cython.declare(uint64_t, cython.cast(uint64_t, -1))


class Budget:
    """Limits in bytes, None for none; `ValueError` for a negative one.

    per_call: what one call of a verb may copy. per_task: what all of them together may, from the start or the last `renew`.
    One budget may serve several providers, which then share it.
    """

    def __init__(self, *, per_call=None, per_task=None):
        self.call_limit = _limit(per_call, "per_call")
        self.task_limit = _limit(per_task, "per_task")

    @property
    def per_call(self):
        return None if self.call_limit == _ENDLESS else self.call_limit

    @property
    def per_task(self):
        return None if self.task_limit == _ENDLESS else self.task_limit

    @property
    def spent(self):
        """Bytes charged since the start, or since `renew`."""
        return self.used

    @property
    def room(self):
        """Bytes that a call may copy now; 2**64 - 1 if there is no limit."""
        return self.left()

    def left(self):
        rest: uint64_t = self.task_limit - self.used
        if self.task_limit == _ENDLESS or rest > self.call_limit:
            return self.call_limit
        return rest

    def take(self, size):
        if size > self.call_limit:
            raise LinuxError(errno.ENOMEM, f"{size} bytes in one call: the budget allows {self.call_limit}")
        if self.task_limit != _ENDLESS:
            if size > self.task_limit - self.used:
                raise LinuxError(
                    errno.ENOMEM, f"{size} bytes, after {self.used}: the budget allows {self.task_limit} in all"
                )
        self.used = self.used + size if size < _ENDLESS - self.used else _ENDLESS
        return 0

    def charge(self, size):
        """Count `size` bytes that a call is about to copy. `LinuxError(ENOMEM)` if they are too many."""
        number = checked_size(size)
        self.take(_ENDLESS if number > _ENDLESS else number)

    def renew(self):
        """Begin anew, as if nothing was spent: when a system call begins, say."""
        self.used = 0

    def __repr__(self):
        return f"Budget(per_call={self.per_call}, per_task={self.per_task}, spent={self.spent})"

    def __reduce__(self):
        raise TypeError("a budget cannot be pickled: it is spent in this process")


@cython.cfunc
@cython.exceptval(check=True)
def _limit(value: object, what: str) -> uint64_t:
    if value is None:
        return _ENDLESS
    number = checked_size(value, what)
    return _ENDLESS if number > _ENDLESS else number


def require_room(size):
    """`LinuxError(ENOMEM)` if the host could never hold so many bytes: before a large result grows, page by page.

    The addresses are taken and given back at once; no memory is.
    """
    where: cython.p_void = cython.NULL
    length: uint64_t = _ENDLESS if size > _ENDLESS >> 1 else size
    if length != _ENDLESS:
        where = mmap(cython.NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if where == cython.NULL or where == MAP_FAILED:
        raise LinuxError(errno.ENOMEM, f"the host has no room for {size} bytes")
    munmap(where, length)


def budget_of(provider):
    """The budget that a provider says, or else the memory it leads to; None if neither does."""
    found = getattr(provider, "budget", None)
    if found is None and hasattr(provider, "with_addr_space"):
        found = visited(provider, lambda memory: getattr(memory, "budget", None))
    if found is not None and not isinstance(found, Budget):
        raise TypeError(f"a budget is a Budget, not {type(found).__name__}")
    return found


def charge(provider, size):
    """Charge a provider's budget, if it has one. `LinuxError(ENOMEM)` if it is spent."""
    found = budget_of(provider)
    if found is not None:
        found.charge(size)
