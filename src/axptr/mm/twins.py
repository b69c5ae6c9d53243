"""Shared anonymous memory of a space that was made from a snapshot: memory of its own with the bytes of then.

The spaces that were there when the snapshot was taken go on with theirs. What such a space, its clones and its own
snapshots share is shared among them.
"""

from __future__ import annotations

from axptr._core.mm.frames import FrameStore
from axptr._core.words.codes import TRAITS
from axptr.flags import MappingFlags
from axptr.mm.backend import part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from axptr.mm.snapshots.snapshot import Snapshot
    from axptr.mm.space import AddrSpace

Twins = dict[FrameStore, FrameStore]
"""Store of then -> the one that takes its place."""


def make_twins(snap: Snapshot) -> Twins:
    """New stores with what the snapshot captured. Raises `LinuxError(ENOMEM)`."""
    twins: Twins = {}
    for store, copy, _ in snap._captures:
        twin, _ = copy.capture()
        twin.device, twin.inode = store.device, store.inode
        twins[store] = twin
    return twins


def use_twins(space: AddrSpace, twins: Twins) -> None:
    """Let every area that shows a store of then show its twin."""
    for start, end, flags, backend, offset, name, _, traits in space._all_areas():
        twin = twins.get(backend.store) if backend.store is not None else None
        if twin is not None:
            space.map(start, end - start, MappingFlags(flags), part(backend, offset, twin), replace=True, name=name)
            if traits & TRAITS:
                space._set_traits(start, end - start, traits & TRAITS, 0)
