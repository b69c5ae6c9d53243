"""Parts of Python's library without the modules that have them: those load many more, which a start pays for.

`deque` and `partial` are the library's own, compiled; `cached_property` does what `functools` says of it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from functools import cached_property, partial
else:
    from _collections import deque
    from _functools import partial

    class cached_property:
        """An attribute that is made when it is first asked for, and then stands in the object itself."""

        def __init__(self, make):
            self._make = make
            self.__doc__ = make.__doc__

        def __set_name__(self, owner, name):
            self._name = name

        def __get__(self, it, owner=None):
            if it is None:
                return self
            made = it.__dict__[self._name] = self._make(it)
            return made


__all__ = ["cached_property", "deque", "partial"]
