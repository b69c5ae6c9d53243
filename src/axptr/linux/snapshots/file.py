"""A machine's snapshot as bytes, in files and pickles: `MachineSnapshot.save` and `load`.

The file is that of a space's snapshot (`mm.snapshots.file`), with a magic number of its own. Its description is the
graph and what stands besides it (`code`): the files of the host, by name and identity; the stores of memory; the
spaces, each as `mm.snapshots.encode` describes one; what of their areas is known to the machine alone. Pages of all of
them lie side by side in one row.

Loading gives a snapshot in a memory of its own, whose pages are those of the file, mapped: read when somebody looks at
them, and copied when they are written. Those of stores are copied at once. A pickle has no file: all are copied.

A file may build on others: it has the pages that changed since another snapshot, and the rest is in that one's file,
and in those that this builds on. Pages are numbered through all of them, the oldest first. Each is known by its header,
whose checksums, of a description with random bytes and of the pages, no other file's has.

Failure: `SnapshotError` that names what cannot go along, or says what is wrong with a file; `LinuxError(ENOMEM)`.
"""

from __future__ import annotations

import functools
import os

from ..._core.mm.frames import FrameStore
from ..._core.mm.memfile import MemoryFile
from ..._core.mm.pages import FramePool, private_rows, store_pages
from ..._core.mm.shelf import keep_programs
from ..._core.phys.charges import Account
from ..._core.phys.phys import PhysMemory
from ..._core.words.codes import KIND_STORE, MARK_ZERO, PAGE_SIZE
from ..._core.words.graph import CALL, INSTANCE, LEAF, Graph, Node, Place
from ...errors import SnapshotError
from ...mm.backend import FileBackend, SharedBackend, StoreBackend, file_cache
from ...mm.filecache import FileCache
from ...mm.snapshots.decode import Decoder
from ...mm.snapshots.encode import Known, Parts, describe, page_runs
from ...mm.snapshots.file import MACHINE, header, show, write
from ...mm.snapshots.snapshot import Snapshot
from ...mm.space import AddrSpace
from ...named import NamedTuple
from ..files.fifo import FifoOpening
from ..fs.host.fd import by_descriptor
from ..fs.host.file import HostFile
from ..fs.host.tree import HostNode
from ..fs.system import SystemTree
from ..host import unique_name
from ..policy.policy import Policy
from .chains import require_ends
from .code import decode, encode
from .hostfiles import HeldFile, find, identity
from .kinds import require_kinds
from .memory import MemoryImage
from .taking import ROOTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from ..._core.mm.frames import Backend
    from ...mm.snapshots.encode import Part
    from .snapshot import MachineSnapshot

VERSION = 2
_PARTS = 12
"""Of what stands besides a graph."""
_STORES = (FrameStore, MemoryFile)
_BACKENDS = (StoreBackend, SharedBackend, FileBackend)
_DESCRIPTORS = {HostFile: "host_fd", FifoOpening: "fd"}
"""Attributes that are descriptors of the host's, and closed by their owners."""
_DAMAGED = (LookupError, TypeError, ValueError, AttributeError, OverflowError, AssertionError)
"""What values that have no meaning raise where they are used."""


# -- to bytes


class Saved(NamedTuple):
    """Where the bytes of a snapshot's frames are. heads: of the files, the oldest first. known: their pages."""

    heads: tuple[bytes, ...]
    known: Known


def save(snap: MachineSnapshot, path: str | os.PathLike[str], since: MachineSnapshot | None = None) -> None:
    """`MachineSnapshot.save`."""
    before = None
    if since is not None:
        before = since.saved
        if before is None:
            raise SnapshotError("the other snapshot was neither saved nor loaded: there is no file to build on")
        if since.memory.phys is not snap.memory.phys:
            raise SnapshotError("the other snapshot is of another memory: nothing in it is the same")
        if header(path) in before.heads:
            raise SnapshotError(f"{os.fsdecode(path)} is the file to build on: another name is needed")
        before = Saved(before.heads, before.known.only(_frames(since)))
    meta, parts, known = _encoded(snap, before)
    head = write(path, MACHINE, VERSION, meta, parts)
    snap.saved = Saved((*(before.heads if before is not None else ()), head), known)


def _frames(snap: MachineSnapshot) -> Iterator[tuple[int, int]]:
    """All frames that a snapshot holds, but those of zeros: physical addresses, and how many lie side by side there."""
    for space in snap.memory.spaces:
        for _, paddr, npages, marks in private_rows(space._frozen):
            if not marks & MARK_ZERO:
                yield paddr, npages
    for store in snap.memory.stores:
        yield from ((paddr, 1) for _, paddr in store_pages(store))


def pickled(snap: MachineSnapshot, protocol: int) -> tuple[bytes, list[Any]]:
    """What `unpickled` takes: the description and the pages, as out-of-band buffers where the protocol has them."""
    from pickle import PickleBuffer

    meta, parts, _ = _encoded(snap, None)
    return meta, [PickleBuffer(part) if protocol >= 5 else bytes(part) for part in parts]


def _encoded(snap: MachineSnapshot, before: Saved | None) -> tuple[bytes, list[Part], Known]:
    """The description, the pages, and where the bytes of all frames are then."""
    memory = snap.memory
    parts = Parts(memory.phys, before and before.known)
    stores = tuple(_store(store, parts) for store in memory.stores)
    outside = {id(store): number for number, store in enumerate(memory.stores)}
    for space in memory.spaces:
        _require_names(space)
    spaces = tuple(describe(space, parts, outside) for space in memory.spaces)
    graph, named = _with_names(snap)
    besides = (
        snap.view,
        snap.engine,
        snap.memory_limit,
        tuple(held.record() for held in snap.held),
        tuple(_object(it) for it in snap.objects),
        stores,
        tuple(sorted(memory.shown)),
        spaces,
        tuple(_behind(space) for space in memory.spaces),
        named,
        () if before is None else before.heads,
        unique_name(),
    )
    rows = parts.rows if before is None else before.known.rows + parts.rows
    return encode(graph, besides), parts.all(), Known(rows, parts.count)


def _object(it: Any) -> tuple[Any, ...]:
    """What is the process's own and can be made in another."""
    if isinstance(it, FileCache):
        return "file", *identity(it.descriptors[0])
    if type(it) is SystemTree:
        return "system", tuple(it.texts.items()), tuple(it.directories.items())
    if type(it) is Policy:
        return "policy", *it.kept()
    raise SnapshotError(f"the machine has a {type(it).__name__} of this process, which cannot be saved")


def _store(store: FrameStore, parts: Parts) -> tuple[Any, ...]:
    """A store of memory. What a file supplies to it is its own from here on."""
    supplied = store.supplied
    with parts.phys._held():
        pages = dict(store_pages(store))
        numbers = [(page, parts.frame(paddr, alone=True)) for page, paddr in pages.items()]
    for page in range(-(-supplied // PAGE_SIZE)):
        if page in pages or store.peek(page) is not None:
            continue
        start = page * PAGE_SIZE
        data = os.pread(store.descriptors[0], min(PAGE_SIZE, supplied - start), start).ljust(PAGE_SIZE, b"\0")
        if data.count(0) != PAGE_SIZE:
            numbers.append((page, parts.page(data)))
    runs = tuple(page_runs(sorted(numbers)))
    return _STORES.index(type(store)), store.label, store.limit, store.device, store.inode, runs


def _require_names(space: Snapshot) -> None:
    """Raise `SnapshotError` where an area shows a file that nobody finds again."""
    for area in space.areas():
        if isinstance(area.backend.store, FileCache):
            identity(area.backend.store.descriptors[0])


def _behind(space: Snapshot) -> tuple[tuple[int, int, bool], ...]:
    """Of each area that shows a store: its start, the class of what backs it, whether nothing of it may be executed."""
    return tuple(
        (area.start, _BACKENDS.index(type(area.backend)), getattr(area.backend, "no_exec", False))
        for area in space.areas()
        if area.backend.store is not None
    )


def _with_names(snap: MachineSnapshot) -> tuple[Graph, tuple[tuple[int, int], ...]]:
    """The graph with what tells the name of each area that has one, and these areas: number of the space, start.

    What tells it of a file has the number of our descriptor, for which there is a leaf then.
    """
    memory, graph = snap.memory, snap.graph
    names = {id(backend): name for backend, name in zip(memory.backends, graph.roots[ROOTS:], strict=True)}
    nodes, roots = list(graph.nodes), list(graph.roots[:ROOTS])
    places: list[tuple[int, int]] = []
    for number, space in enumerate(memory.spaces):
        for area in space.areas():
            if id(area.backend) not in names:
                continue
            name = names[id(area.backend)]
            store = area.backend.store
            if isinstance(name, Place) and store is not None and store.is_file:
                told = nodes[name.index]
                if told.kind == CALL and told.values[0] is functools.partial and type(told.values[-1]) is int:
                    nodes.append(Node(LEAF, None, None, ("mapped", len(places))))
                    nodes.append(Node(CALL, None, None, (*told.values[:-1], Place(len(nodes) - 1))))
                    name = Place(len(nodes) - 1)
            roots.append(name)
            places.append((number, area.start))
    return Graph(tuple(nodes), tuple(roots)), tuple(places)


# -- from bytes


def load(
    path: str | os.PathLike[str], empty: MachineSnapshot, verify: bool, bases: Sequence[str | os.PathLike[str]] = ()
) -> MachineSnapshot:
    """`MachineSnapshot.load`. empty: what is to be that of the file."""

    def begin(meta: bytes, shown: list[tuple[int, int, int]], heads: list[bytes]) -> _Reading:
        return _Reading(meta, sum(npages for _, _, npages in shown), empty, shown, tuple(heads))

    return show(path, MACHINE, VERSION, verify, begin, bases)


def unpickled(meta: bytes, parts: list[Any], empty: MachineSnapshot) -> MachineSnapshot:
    """The snapshot that `pickled` gave. There are no checksums; the description is proved all the same."""
    sizes = [memoryview(part).nbytes for part in parts]
    if any(size % PAGE_SIZE for size in sizes):
        raise SnapshotError("a piece of it is no whole pages")
    reading = _Reading(meta, sum(sizes) // PAGE_SIZE, empty)
    for part in parts:
        reading.put(part)
    return reading.finish()


class _Reading:
    """One file: the description first, then the pages, then what it is."""

    def __init__(
        self,
        meta: bytes,
        npages: int,
        empty: MachineSnapshot,
        shown: list[tuple[int, int, int]] | None = None,
        heads: tuple[bytes, ...] = (),
    ) -> None:
        """shown: which files have the pages, for those that are not put: a descriptor, from where on, how many. heads:
        their headers, its own the last."""
        self._snap = empty
        self._graph, besides = decode(meta)
        if len(besides) != _PARTS:
            raise SnapshotError(f"it has {len(besides)} parts")
        self._view, self._engine, limit, self._held, self._objects, *self._rest, bases, _ = besides
        self._heads = heads
        _require_bases(bases, heads[:-1])
        self._limit = limit
        try:
            self._phys = PhysMemory()
            empty.account = Account(self._phys)
            keep_programs(self._phys, limit)
        except (ValueError, TypeError, OverflowError) as failure:
            raise SnapshotError(f"its memory has a limit of {limit!r}") from failure
        self._npages, self._put = npages, 0 if shown is None else npages
        with empty.account.acting():
            self._pool = FramePool(self._phys, npages, shown)

    def put(self, data: Any) -> None:
        """The next pages' bytes."""
        try:
            with self._snap.account.acting():
                self._pool.put(self._put, data)
        except ValueError as failure:
            raise SnapshotError(str(failure)) from None
        self._put += memoryview(data).nbytes // PAGE_SIZE

    def finish(self) -> MachineSnapshot:
        if self._put != self._npages:
            raise SnapshotError(f"{self._npages - self._put} of its pages are missing")
        try:
            with self._snap.account.acting():
                return self._finish()
        except _DAMAGED as failure:
            raise SnapshotError(f"its description makes no sense: {failure!r}") from failure

    def _finish(self) -> MachineSnapshot:
        snap = self._snap
        snap.loaded = True
        snap.view, snap.engine, snap.memory_limit, snap.graph = self._view, self._engine, self._limit, self._graph
        if snap.engine not in ("native", "unicorn"):
            raise SnapshotError(f"its engine is {snap.engine!r}")
        snap.held = [HeldFile.found(*record) for record in self._held]
        snap.objects = [self._object(*record) for record in self._objects]
        stores, shown, spaces, shows, named = self._rest
        memory = snap.memory = MemoryImage(self._phys)
        memory.stores = [self._store(*record) for record in stores]
        memory.shown = set(shown)
        _require_leaves(self._graph)
        require_ends(self._graph)
        require_kinds(self._graph)
        for meta, shown_there in zip(spaces, shows, strict=True):
            memory.add(self._space(meta, memory.stores, shown_there))
        snap.saved = Saved(self._heads, Known(self._pool.shown, self._npages)) if self._heads else None
        del self._pool
        behind = [{start: backend for start, _, _, backend, *_ in s._frozen._all_areas()} for s in memory.spaces]
        memory.backends = [behind[number][start] for number, start in named]
        if len(self._graph.roots) != ROOTS + len(memory.backends):
            raise SnapshotError("it names more areas, or fewer, than there are")
        return snap

    def _object(self, kind: str, *state: Any) -> Any:
        if kind == "file":
            place = find(*state)
            try:
                fd = os.open(by_descriptor(place), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
            except OSError as error:
                raise SnapshotError(f"the snapshot needs {os.fsdecode(state[0])}: {error.strerror}") from error
            finally:
                os.close(place)
            try:
                return file_cache(self._phys, fd, False)[0]
            finally:
                os.close(fd)
        if kind == "policy":
            try:
                return Policy.of_kept(*state)
            except ValueError as error:
                raise SnapshotError(f"its rules cannot be had again: {error}") from error
        if kind != "system":
            raise SnapshotError(f"it has an object of the kind {kind!r}")
        tree = SystemTree()
        tree.texts, tree.directories = (dict(items) for items in state)
        return tree

    def _store(self, kind: int, label: Any, limit: int, device: int, inode: int, runs: Any) -> FrameStore:
        store = _STORES[kind](self._phys, None, label, limit)
        store.device, store.inode = device, inode
        for page, count, index in runs:
            self._pool.into_store(store, page, count, index)
        return store

    def _space(self, meta: bytes, stores: list[FrameStore], shows: Any) -> Snapshot:
        decoder = Decoder(meta, self._npages, AddrSpace, self._phys, pool=self._pool, outside=stores)
        snap = Snapshot._of_parts(*decoder.finish())
        areas = {start: backend for start, _, _, backend, *_ in snap._frozen._all_areas() if backend.store is not None}
        if set(areas) != {start for start, _, _ in shows}:
            raise SnapshotError("its spaces have other areas than it says")
        snap._frozen._swap_backends({id(areas[start]): _backed(areas[start], *how) for start, *how in shows})
        return snap


def _require_bases(bases: Any, given: tuple[bytes, ...]) -> None:
    """Raise `SnapshotError` unless the files that were given are those that it builds on."""
    if not isinstance(bases, tuple) or any(type(head) is not bytes for head in bases):
        raise SnapshotError("it does not say what it builds on")
    if bases == given:
        return
    if not bases:
        raise SnapshotError("it is whole, and builds on no other file")
    if len(bases) != len(given):
        files = "another file" if len(bases) == 1 else f"{len(bases)} other files"
        raise SnapshotError(f"it has what changed since {files}, and {len(given) or 'none'} was given as its base")
    wrong = next(number for number, head in enumerate(given) if head != bases[number])
    raise SnapshotError(f"it builds on another file than the one given as its base (number {wrong + 1})")


def _require_leaves(graph: Graph) -> None:
    """Raise `SnapshotError` where a number stands for a descriptor, which would be any of ours."""
    owners: set[int] = set()
    for node in graph.nodes:
        if (
            node.kind == INSTANCE
            and issubclass(node.cls, HostNode)
            and (node.cls is not HostNode or not _is_lent(node, graph))
        ):
            raise SnapshotError(f"a {node.cls.__name__} of it is no place that is held")
        name = _DESCRIPTORS.get(node.cls) if node.kind == INSTANCE else None
        if name is None:
            continue
        values = [value for key, value in zip(node.names or (), node.values, strict=True) if key == name]
        if values == [-1]:
            continue
        place = values[-1].index if values and isinstance(values[-1], Place) else -1
        leaf = graph.nodes[place] if place >= 0 else node
        if len(values) != 1 or leaf.kind != LEAF or leaf.values[0] not in ("fd", "stream", "dead") or place in owners:
            raise SnapshotError(f"a {node.cls.__name__} of it has no file of its own")
        state = dict(zip(node.names or (), node.values, strict=True))
        number = leaf.values[1] if leaf.values[0] == "stream" else None
        if state.get("stream") != number or (number is not None and state.get("owned") is not False):
            raise SnapshotError("a file of it is the user's, and does not know that")
        if leaf.values[0] != "stream":
            owners.add(place)


def _is_lent(node: Node, graph: Graph) -> bool:
    """Whether a place of the host's has its descriptor from what the snapshot holds, and nowhere else."""
    state = dict(zip(node.names or (), node.values, strict=True))
    place = state.get("_lent")
    return "fd" not in state and isinstance(place, Place) and graph.nodes[place.index].values[:1] == ("held",)


def _backed(before: Backend, kind: int, no_exec: bool) -> Backend:
    """The same, of the class that it was."""
    cls = _BACKENDS[kind]
    store = before.store
    assert store is not None
    if store.is_file != (cls is FileBackend):
        raise SnapshotError(f"an area shows {store.label!r} in a way that it cannot")
    made = cls.__new__(cls)
    made._set(KIND_STORE, shared=before.shared, sealed=before.sealed, offset=before.offset, store=store)
    if no_exec is True and isinstance(made, FileBackend):
        made.no_exec = True
    return made
