"""The mark that says: this thread touches user memory now.

A page fault of the kernel's own is legitimate only under this mark. All pointer verbs and a space's `read` and
`write` set it themselves; it nests, and an exception takes it back.
"""

from __future__ import annotations

from axptr._core.mm.provider import access_user_memory, is_accessing_user_memory

__all__ = ["access_user_memory", "is_accessing_user_memory"]
