"""How the host is asked for something on a guest's behalf: its refusals become the guest's.

The calls that Python has no name for are compiled: `axptr._core.host.hostcalls`.
"""

from __future__ import annotations

import errno

from ...._core.host import hostcalls
from ....addr import PAGE_SIZE
from ....errors import LinuxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

PAGE = PAGE_SIZE


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


def host_statx(dirfd: int, path: bytes, flags: int, mask: int) -> bytes | None:
    """struct statx as the host fills it, the time of birth and the attributes in it; None if it has no such call."""
    try:
        return hostcalls.statx(dirfd, path, flags, mask)
    except LinuxError as error:
        if error.errno != errno.ENOSYS:
            raise
        return None


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
