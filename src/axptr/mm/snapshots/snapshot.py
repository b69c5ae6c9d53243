"""Snapshots of an address space, and the way back to them.

A `Snapshot` holds a frozen copy-on-write twin. The space keeps a journal of what changed since the snapshot it last
took or went back to; the snapshots of a space form a tree, each edge with the journal's notes from parent to child.
To go back to one, the notes on the way there are what must be looked at, and nothing else.

Not here: how pages and areas are put back (`_core.history`), and snapshots as bytes and files (`mm.snapshots.encode`,
`mm.snapshots.decode`, `mm.snapshots.file`).
"""

from __future__ import annotations

from _thread import allocate_lock
from _weakref import ref
from sys import is_finalizing

from axptr._core.mm.frames import FrameStore
from axptr._core.words.codes import PAGE_SHIFT, PAGE_SIZE
from axptr.mm.area import MemoryArea
from axptr.weak import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Any, ClassVar

    from axptr._core.mm.history import Notes
    from axptr._core.phys.phys import PhysMemory
    from axptr.mm.space import AddrSpace

_folding = allocate_lock()


class Epoch:
    """A moment in the life of a space: the state of a snapshot. `notes`: what changed from `parent` to here.

    A moment that nobody can go back to and on which one other hangs is only a stop on the way: that takes its place.
    Folding writes notes first, then the parent, and whoever walks reads the parent first: so a walk beside it finds too
    many notes at worst. It may start at any object's end, also inside itself: then it is left out, until the next.
    """

    __slots__ = ("__weakref__", "heirs", "notes", "parent", "snapshot")

    heirs: WeakSet  # of epochs
    notes: Notes
    parent: Epoch | None
    snapshot: ref[Snapshot] | None

    def __init__(self, parent: Epoch | None, notes: Notes) -> None:
        self.heirs = WeakSet()
        self.snapshot = None
        while parent is not None and not parent.heirs and parent.is_past():
            above = parent.parent
            notes = None if above is None else _joined(parent.notes, notes)
            parent = above
        self.parent = parent
        self.notes = notes
        if parent is not None:
            parent.heirs.add(self)

    def is_past(self) -> bool:
        """Whether nobody can go back to it."""
        return self.snapshot is None or self.snapshot() is None

    def fold(self) -> None:
        """Let the only heir of a moment that is past take its place."""
        if not self.is_past() or len(self.heirs) != 1 or not _folding.acquire(blocking=False):
            return
        try:
            above = self.parent
            for heir in list(self.heirs):
                heir.notes = None if above is None else _joined(self.notes, heir.notes)
                heir.parent = above
                if above is not None:
                    above.heirs.add(heir)
            self.heirs.clear()
        finally:
            _folding.release()

    def _check(self) -> None:
        """Raise `AssertionError` if the tree around this moment is none, or its notes are in disorder."""
        seen: set[int] = set()
        at: Epoch | None = self
        while at is not None:
            if id(at) in seen:
                raise AssertionError("a moment comes before itself")
            seen.add(id(at))
            at._check_notes()
            if at.parent is not None and at not in at.parent.heirs:
                raise AssertionError("a moment is no heir of the one before it")
            if any(heir.parent is not at for heir in at.heirs):
                raise AssertionError("an heir hangs on another moment")
            snapshot = None if at.snapshot is None else at.snapshot()
            if snapshot is not None and snapshot._epoch is not at:
                raise AssertionError("a moment names the snapshot of another")
            at = at.parent

    def _check_notes(self) -> None:
        if self.notes is None:
            return
        from array import array
        from itertools import pairwise

        pages, ranges = array("Q", self.notes[0]), array("Q", self.notes[1])
        if any(low >= high for low, high in pairwise(pages)):
            raise AssertionError("the pages of a moment's notes repeat or stand in disorder")
        if any(first > last for first, last in zip(ranges[::2], ranges[1::2], strict=True)):
            raise AssertionError("a range of a moment's notes ends before it begins")
        if any(low > high for low, high in pairwise(ranges[::2])):
            raise AssertionError("the ranges of a moment's notes stand in disorder")

    def __del__(self, over: Callable[[], bool] = is_finalizing) -> None:
        parent = getattr(self, "parent", None)  # none where the constructor was interrupted
        if parent is not None and not over():
            parent.heirs.discard(self)
            parent.fold()


def _joined(first: Notes, second: Notes) -> Notes:
    if first is None or second is None:
        return None
    from array import array  # a library, which a run does not need

    pages = array("Q", first[0] + second[0])
    ranges = array("Q", first[1] + second[1])
    pairs = sorted(set(zip(ranges[::2], ranges[1::2], strict=True)))
    return array("Q", sorted(set(pages))).tobytes(), array("Q", [n for pair in pairs for n in pair]).tobytes()


def path(start: Epoch | None, end: Epoch) -> list[Notes] | None:
    """The notes on the way between two moments, or None if there is no way."""
    above: dict[int, int] = {}
    here: list[Epoch] = []
    at = start
    while at is not None:
        above[id(at)] = len(here)
        here.append(at)
        at = at.parent
    found: list[Notes] = []
    step: Epoch | None = end
    while step is not None and id(step) not in above:
        at, step = step, step.parent
        found.append(at.notes)
    if step is None:
        return None
    return found + [epoch.notes for epoch in here[: above[id(step)]]]


class Snapshot:
    """The state of an address space at one moment: areas, names, permissions, bytes and `bounds`.

    Made by `AddrSpace.snapshot`, used by `AddrSpace.restore`; it costs the page tables and, later, the pages that
    change. Shared anonymous memory is copied; shared files and linear windows are not part of it.

    _make_space: `AddrSpace`, which stands above and says so when it is loaded; the package loads it with this name.
    """

    _make_space: ClassVar[Callable[..., AddrSpace]]

    def __init__(
        self,
        frozen: AddrSpace,
        epoch: Epoch,
        captures: list[tuple[FrameStore, FrameStore, int]],
    ) -> None:
        """For `AddrSpace.snapshot` and `load`. captures: (store, copy of its pages, moment)."""
        self._frozen = frozen
        self._epoch = epoch
        self._captures = captures
        epoch.snapshot = ref(self)

    def __del__(self, over: Callable[[], bool] = is_finalizing) -> None:
        if not over() and (epoch := getattr(self, "_epoch", None)) is not None:
            epoch.snapshot = None
            epoch.fold()

    @property
    def bounds(self) -> dict[str, int]:
        """A copy of the space's `bounds` of then."""
        return dict(self._frozen.bounds)

    def areas(self) -> list[MemoryArea]:
        """Every area, by address."""
        return self._frozen.areas()

    def resident_pages(self) -> list[int]:
        """Addresses of the pages that have a frame, in order."""
        return self._frozen.resident_pages()

    def read(self, vaddr: int, size: int) -> bytes:
        """`size` bytes at `vaddr` as they were then, whatever the permissions. Raises as `AddrSpace.read`."""
        whole = bytearray(self._frozen.read(vaddr, size))
        for store, copy, _ in self._captures:
            for area in self.areas():
                if area.backend.store is store and area.start < vaddr + size and vaddr < area.end:
                    low, high = max(area.start, vaddr), min(area.end, vaddr + size)
                    for page in range(low >> PAGE_SHIFT, ((high - 1) >> PAGE_SHIFT) + 1):
                        a, b = max(low, page << PAGE_SHIFT), min(high, (page + 1) << PAGE_SHIFT)
                        old = copy.peek((area.offset + (page << PAGE_SHIFT) - area.start) >> PAGE_SHIFT) or bytes(
                            PAGE_SIZE
                        )
                        whole[a - vaddr : b - vaddr] = old[a - (page << PAGE_SHIFT) : b - (page << PAGE_SHIFT)]
        return bytes(whole)

    @property
    def phys(self) -> PhysMemory:
        """The memory that holds it: what can be restored to it is a space of the same one."""
        return self._frozen.phys

    @property
    def files(self) -> list[str]:
        """Paths of the files behind its areas: what it takes from them is not stored unless `save` is told to."""
        stores = [area.backend.store for area in self.areas()]
        return sorted({store.label for store in stores if store is not None and store.is_file})

    def save(self, path: str | os.PathLike[str], *, embed_files: bool = False) -> None:
        """Write it to a file, for `load` in any process; `docs/snapshots.md` has the format.

        Pages that have a frame are stored, whatever backs them. Those of a private file mapping that have none yet come
        from the file again, which must be the same then; embed_files: these are stored too. Shared mappings of files
        always need their files. Under the name there is, at any time, what was there before or the whole snapshot.

        Raises `SnapshotError` if an area is a pager, a device or a window on physical memory, naming it; `OSError` from
        writing.
        """
        from axptr.mm.snapshots.file import save

        save(self, path, embed_files=embed_files)

    @staticmethod
    def load(path: str | os.PathLike[str], phys: PhysMemory | None = None) -> Snapshot:
        """The snapshot in a file, its pages in `phys`; None is the process-wide memory.

        It opens the files that `files` names: load only what you trust to choose them. Raises `SnapshotError` for a
        file that is damaged, of another version or no snapshot, and when a file that it needs is not there or has
        changed; `LinuxError(ENOMEM)` when frames run out; `OSError` if the file cannot be read.
        """
        from axptr.mm.snapshots.file import load

        return Snapshot._of_parts(*load(path, phys, Snapshot._make_space))

    @staticmethod
    def _of_parts(frozen: AddrSpace, captures: list[tuple[FrameStore, FrameStore, int]]) -> Snapshot:
        """For what decodes: a snapshot that hangs on no other."""
        return Snapshot(frozen, Epoch(None, None), captures)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Pickles as `save` writes; with protocol 5 the pages are out-of-band buffers over the frames themselves."""
        from axptr.mm.snapshots.encode import pickled

        return type(self._frozen)._unpickled, pickled(self, int(protocol))

    def __repr__(self) -> str:
        space = self._frozen
        end = space.base + space.size
        return f"<Snapshot of {space.base:#x}-{end:#x}, {space.area_count} areas, {len(self.resident_pages())} pages>"
