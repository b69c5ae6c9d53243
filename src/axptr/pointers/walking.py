"""Walks along pointers: arrays that NULL ends, linked lists, and from a member back to what contains it.

Each step is a checked read of its own, made when the caller asks for it, so a walk allocates nothing and sees the
memory as it then is. A guest may bend any of these structures: every walk has a limit.

Not here: paths inside one T (`fields`), strings and their arrays.

Failure: `UserFault` where a link cannot be read; `LinuxError(E2BIG)`, `LinuxError(ELOOP)` at a limit.
"""

from __future__ import annotations

import errno

from axptr._core.pointers.codec import name_of
from axptr.addr import ADDRESS_END, checked_address, checked_size
from axptr.errors import LinuxError
from axptr.forms.find import form_of
from axptr.pointers.fields import place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def each(ptr: Any, provider: Any, limit: int | None) -> Iterator[Any]:
    """The elements from `ptr` on before one that is 0: see `UserPtr.each`."""
    most = None if limit is None else checked_size(limit, "limit")
    return _each(ptr, provider, most)


def _each(ptr: Any, provider: Any, most: int | None) -> Iterator[Any]:
    done = 0
    while value := (ptr + done).read(provider):
        if done == most:
            raise LinuxError(errno.E2BIG, f"no NULL in the first {done + 1} elements at {ptr.address:#x}")
        yield value
        done += 1


def follow(ptr: Any, provider: Any, path: str, limit: int, end: int) -> Iterator[Any]:
    """The nodes of a linked list, `ptr` first: see `UserPtr.follow`."""
    most = checked_size(limit, "limit")
    last = checked_address(end, "end")
    _, link = place(ptr.type.seen, path)
    if not _is_link(link):
        raise TypeError(f"{name_of(ptr.T)}.{path} is {name_of(link)}: that links to nothing")
    return _follow(ptr, provider, path, most, last)


def _follow(ptr: Any, provider: Any, path: str, most: int, last: int) -> Iterator[Any]:
    node = ptr
    done = 0
    while node.address not in (0, last) or (node is ptr and node):
        if done == most:
            raise LinuxError(
                errno.ELOOP, f"a list of {ptr.type!r} from {ptr.address:#x} has more than {most} nodes, or is a loop"
            )
        yield node
        done += 1
        node = ptr.type(int(node.field(path).read(provider)) % ADDRESS_END)


def _is_link(T: Any) -> bool:
    """Whether a T holds an address: a pointer or an integer."""
    form = form_of(T)
    if form is not None and form.ctype is None:
        return form.address
    code = getattr(T if form is None else form.ctype, "_type_", None)
    return hasattr(T, "ACCESS_FLAGS") or (isinstance(code, str) and code in "bBhHiIlLqQP")


def container_of(ptr: Any, T: Any, member: str) -> Any:
    """The pointer to the T whose `member` (a path) is what `ptr` points at, as C's `container_of`; nothing is read.

    Raises `TypeError` if the member is of another type than `ptr` points at (`cast` says otherwise), `UserFault` if
    the T would begin below 0, and as `UserPtr.field` for a member that is not there.
    """
    if not hasattr(type(ptr), "read_slice"):
        raise TypeError(f"want a UserPtr or a UserConstPtr, not {type(ptr).__name__}")
    offset, found = place(ptr.cast(T).type.seen, member)
    if ptr.cast(found).type is not ptr.type:
        raise TypeError(f"{name_of(T)}.{member} is {name_of(found)}, and {ptr!r} points at {name_of(ptr.T)}")
    import ctypes  # not at every start

    return (ptr.cast(ctypes.c_uint8) - offset).cast(T)
