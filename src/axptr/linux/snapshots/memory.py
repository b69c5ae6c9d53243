"""What a machine's memory is at one moment: its spaces frozen, copy on write, and the stores behind them.

Pages of a space are shared among the machine, its snapshots and its branches until somebody writes them. Stores that
are memory (shared memory, files in memory) are the snapshot's own copies; each branch has its own again. Those that
nobody has mapped share frames, too. What is a file of the host's is the file, for all of them.

Locking: that of the `PhysMemory`, in the spaces' and stores' own calls. Failure: `LinuxError(ENOMEM)`.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property

from ..._core.cpu.native.habits import Habits
from ..._core.mm.sharing import twin
from ...errors import SnapshotError
from ...mm.backend import part
from ...mm.space import AddrSpace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..._core.mm.frames import Backend, FrameStore
    from ..._core.phys.phys import PhysMemory
    from ...mm.snapshots.snapshot import Snapshot

_NOT_MEMORY = {1: "a window on physical memory", 3: "a pager", 4: "a device (MMIO)"}


class MemoryImage:
    """phys: the memory that all of it lies in. spaces: each frozen. lines: of each, by which the space that it was, and
    those that were made of it, are known. stores: copies of those that are memory; shown: the numbers of those that
    areas show. backends: what areas of the frozen spaces show and a copy shows another of: a store of its own, a name
    that is somebody's; names: what tells of each what maps call it now, in the graph of the machine."""

    def __init__(self, phys: PhysMemory) -> None:
        self.phys = phys
        self.spaces: list[Snapshot] = []
        self.lines: list[object] = []
        self.stores: list[FrameStore] = []
        self.backends: list[Backend] = []
        self.names: list[Any] = []
        self.shown: set[int] = set()
        self._live: list[FrameStore] = []  # which they are copies of, while it is taken
        self._mapped: set[int] = set()
        self._places: dict[int, int] = {}
        self._shown: dict[int, Backend] = {}

    def add(self, snap: Snapshot) -> None:
        """A frozen space that came from elsewhere."""
        snap._frozen.habits = Habits(snap._frozen)
        self.spaces.append(snap)
        self.lines.append(object())

    # -- taking it

    def look_at(self, spaces: Iterable[AddrSpace], stores: Iterable[FrameStore]) -> None:
        """Which stores areas show, before any is kept. stores: those that somebody writes by the places of their
        frames, which are as much theirs alone."""
        self._mapped.update(map(id, stores))
        for space in spaces:
            for _, _, _, backend, *_ in space._all_areas():
                if backend.store is not None:
                    self._mapped.add(id(backend.store))

    def freeze(self, space: AddrSpace, place: Callable[[Any], Any]) -> int:
        """Keep a space as it is now; its number. place: where an object stands in the graph."""
        areas = space._all_areas()
        behind: dict[int, Backend] = {}
        for start, _, _, backend, _, name, *_ in areas:
            if backend.kind in _NOT_MEMORY:
                raise SnapshotError(f"the area at {start:#x} ({name or 'unnamed'}) shows {_NOT_MEMORY[backend.kind]}")
            store, named = backend.store, getattr(backend, "named", None)
            if store is None or (store.is_file and named is None) or id(backend) in behind:
                continue
            behind[id(backend)] = self._image_of(backend)
            self.names.append(place(named))
        snap = space._freeze(shared=False)
        if behind:
            snap._frozen._swap_backends(behind)
        snap._frozen.habits = Habits(snap._frozen)
        self.spaces.append(snap)
        if space.line is None:
            space.line = object()
        self.lines.append(space.line)
        space.shown = {id(made): self._shown[key] for key, made in behind.items()}
        return len(self.spaces) - 1

    def _image_of(self, backend: Backend) -> Backend:
        store = backend.store
        assert store is not None
        image = store if store.is_file else self.stores[self.keep(store)]
        made = part(backend, backend.offset, image)
        self.backends.append(made)
        self._shown[id(backend)] = backend
        return made

    @cached_property
    def shows(self) -> list[tuple[int, Backend, int | None]]:
        """Of each of `backends`, when all is taken: its number (`id`), it, and its store's number if that is kept."""
        numbers = {id(store): number for number, store in enumerate(self.stores)}
        return [(id(backend), backend, numbers.get(id(backend.store))) for backend in self.backends]

    def keep(self, store: FrameStore) -> int:
        """Keep the bytes of a store that is memory; its number."""
        place = self._places.get(id(store))
        if place is None:
            place = self._places[id(store)] = len(self.stores)
            shown = id(store) in self._mapped
            self.stores.append(twin(store, shown))
            self._live.append(store)
            if shown:
                self.shown.add(place)
        return place

    def settle(self) -> None:
        """All is taken."""
        self._live.clear()
        self._places.clear()
        self._shown.clear()


class MemoryCopy:
    """One copy of an image: spaces and stores of a machine of its own. there: spaces that are to become what they were,
    by their line; others are made.

    Spaces are there at once, so that who is made can name them; `finish` gives those that were there their state.
    """

    def __init__(self, image: MemoryImage, there: dict[object, AddrSpace]) -> None:
        self._image = image
        self._there = there
        self._spaces: dict[int, AddrSpace] = {}
        self._stores: dict[int, FrameStore] = {}

    def space(self, number: int) -> AddrSpace:
        found = self._spaces.get(number)
        if found is None:
            found = self._there.get(self._image.lines[number])
            if found is None:
                found = AddrSpace._thaw(self._image.spaces[number])
                found.line = self._image.lines[number]
            self._spaces[number] = found
        return found

    def store(self, number: int) -> FrameStore:
        found = self._stores.get(number)
        if found is None:
            found = self._stores[number] = twin(self._image.stores[number], number in self._image.shown)
        return found

    @property
    def spaces(self) -> list[AddrSpace]:
        return list(self._spaces.values())

    def _match(self, behind: dict[int, Backend], number: int, space: AddrSpace, fresh: dict[int, Backend]) -> None:
        """Enter in `behind` what areas of a space that was put back still show, by what the image shows there."""
        frozen = self._image.spaces[number]._frozen._all_areas()
        starts = [start for start, *_ in frozen]
        for start, _, _, backend, *_ in space._all_areas():
            place = bisect_right(starts, start) - 1
            if backend.store is not None and place >= 0:
                made = fresh.get(id(frozen[place][3]))
                if made is not None:
                    behind[id(backend)] = made

    def finish(self, names: list[Callable[[], bytes] | None]) -> None:
        """names: what tells of each of the image's `backends` what maps call it now."""
        for number, space in self._spaces.items():
            if self._image.lines[number] in self._there:
                space.restore(self._image.spaces[number])
        if not self._image.backends:
            return
        fresh: dict[int, Backend] = {}
        replaced: list[int] = []
        there = {key: made for space in self._spaces.values() for key, made in space.shown.items()}
        for (key, backend, of), named in zip(self._image.shows, names, strict=True):
            made: Any = there.get(key) if of is None else None
            if made is None:
                made = part(backend, backend.offset, None if of is None else self.store(of))
                replaced.append(key)
            if named is not None:
                made.named = named
            fresh[key] = made
        for number, space in self._spaces.items():
            behind = dict(fresh)
            if space.shown.keys() <= fresh.keys():
                for key in replaced if space.shown else ():
                    before = space.shown.get(key)
                    if before is not None:
                        behind[id(before)] = fresh[key]
            else:  # another image was taken of it since, or it comes from another
                self._match(behind, number, space, fresh)
            space._swap_backends(behind)
            space.shown = fresh
