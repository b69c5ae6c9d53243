"""The mark that says: this thread touches user memory now.

A page fault of the kernel's own is legitimate only under this mark. All pointer verbs and a space's `read` and
`write` set it themselves; it nests, and an exception takes it back.
"""

from __future__ import annotations

from types import TracebackType

from axptr._core.mmu import _mark_enter, _mark_leave, is_accessing_user_memory

__all__ = ["access_user_memory", "is_accessing_user_memory"]


class access_user_memory:
    """`with access_user_memory(): ...` marks this thread as touching user memory until the block is left."""

    __slots__ = ()

    def __enter__(self) -> None:
        _mark_enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _mark_leave()
