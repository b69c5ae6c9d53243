"""futex with one thread: nobody else could wake or be woken. Source: futex(2), kernel/futex/core.c.

This is the one call that wants its word aligned.
"""

from __future__ import annotations

import errno
import time
from struct import unpack
from typing import TYPE_CHECKING

from .._core.atomic import UserAtomic
from ..errors import LinuxError
from ..flags import READ, WRITE
from ..kernel.abi import c_int, c_uint
from .registry import syscall
from .uaccess import Bytes, ConstBytes, get_bytes, require_user

if TYPE_CHECKING:
    from .task import LinuxTask

FUTEX_WAIT, FUTEX_WAKE, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP = 0, 1, 3, 4, 5
FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET = 9, 10


@syscall(202, "futex")
def sys_futex(
    task: LinuxTask, word: Bytes, op: c_int, value: c_uint, timeout: ConstBytes, word2: Bytes, value3: c_uint
) -> int:
    """Waiting with one thread ends by the timeout or a signal, or not at all."""
    command = op & 0x7F
    if command in (FUTEX_WAIT, FUTEX_WAIT_BITSET):
        until = None
        if not timeout.is_null:
            seconds, nanos = unpack("<qq", get_bytes(task, timeout.address, 16))
            if seconds < 0 or not 0 <= nanos < 10**9:
                raise LinuxError(errno.EINVAL)
            until = seconds + nanos / 1e9
            if command == FUTEX_WAIT:
                until += time.monotonic()
            elif op & 0x100:  # FUTEX_CLOCK_REALTIME
                until += time.monotonic() - time.time()
        if command == FUTEX_WAIT_BITSET and value3 == 0:
            raise LinuxError(errno.EINVAL)
        _check_word(task, word, op & 128)
        if UserAtomic(word.address).load(task) != value:
            raise LinuxError(errno.EAGAIN)
        while task.sleep(until if until is not None else time.monotonic() + 3600):
            if until is not None:
                raise LinuxError(errno.ETIMEDOUT)
        raise LinuxError(errno.EINTR)
    if command in (FUTEX_WAKE, FUTEX_WAKE_BITSET, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP):
        if command == FUTEX_WAKE_BITSET and value3 == 0:
            raise LinuxError(errno.EINVAL)
        _check_word(task, word, op & 128)
        return 0
    raise LinuxError(errno.ENOSYS)


def _check_word(task: LinuxTask, word: Bytes, private: int) -> None:
    """get_futex_key: alignment is EINVAL, then access_ok; a shared one is known by its page, which must be there."""
    if word.address & 3:
        raise LinuxError(errno.EINVAL)
    require_user(task, word.address, 4, WRITE)
    if not private:
        area = task.space.find_area(word.address)
        wanted = WRITE if area is not None and area.backend.kind_name == "alloc" else READ
        if not task.space.handle_page_fault(word.address, wanted):
            raise task.space.fault(word.address, wanted, size=4)
