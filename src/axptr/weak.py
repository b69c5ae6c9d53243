"""Weak sets and tables, as those of `weakref` as far as they are needed, without that module, which takes a start as
long as ten of ours.

Members are compared as their own classes do, and go when nobody else holds them: at any time, also while one is looked
at. So a set is walked by a list of those that are alive, made at once.
"""

from __future__ import annotations

from _weakref import _remove_dead_weakref, ref  # type: ignore[attr-defined]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from typing import Any


class WeakSet:
    """Objects that it does not hold."""

    __slots__ = ("__weakref__", "_refs")

    def __init__(self, members: Iterable[Any] = ()) -> None:
        self._refs: set[ref[Any]] = set()
        for member in members:
            self.add(member)

    def add(self, member: Any) -> None:
        refs = self._refs
        refs.add(ref(member, refs.discard))

    def discard(self, member: Any) -> None:
        self._refs.discard(ref(member))

    def clear(self) -> None:
        self._refs.clear()

    def __contains__(self, member: Any) -> bool:
        return ref(member) in self._refs

    def __iter__(self) -> Iterator[Any]:
        return iter([member for it in [*self._refs] if (member := it()) is not None])

    def __len__(self) -> int:
        return sum(it() is not None for it in [*self._refs])


class _Named(ref):  # type: ignore[type-arg]
    """A reference that knows by what it is found."""

    __slots__ = ("key",)

    key: Hashable


class WeakTable:
    """Objects by keys, which it does not hold. `data`: key -> weak reference; that of one just gone may stand there."""

    __slots__ = ("__weakref__", "_gone", "data")

    def __init__(self) -> None:
        data: dict[Hashable, ref[Any]] = {}

        def gone(it: _Named) -> None:
            _remove_dead_weakref(data, it.key)  # unless another stands there by now

        self.data = data
        self._gone: Callable[[_Named], None] = gone

    def get(self, key: Hashable) -> Any:
        found = self.data.get(key)
        return None if found is None else found()

    def __setitem__(self, key: Hashable, value: Any) -> None:
        made = _Named(value, self._gone)
        made.key = key
        self.data[key] = made

    def setdefault(self, key: Hashable, value: Any) -> Any:
        """What is there by that key, now this value if it was nothing."""
        found = self.get(key)
        if found is not None:
            return found
        self[key] = value
        return value

    def pop(self, key: Hashable, default: Any = None) -> Any:
        found = self.data.pop(key, None)
        return default if found is None or (value := found()) is None else value

    def items(self) -> list[tuple[Hashable, Any]]:
        return [(key, value) for key, it in [*self.data.items()] if (value := it()) is not None]

    def values(self) -> list[Any]:
        return [value for it in [*self.data.values()] if (value := it()) is not None]

    def __len__(self) -> int:
        return len(self.values())


__all__ = ["WeakSet", "WeakTable"]
