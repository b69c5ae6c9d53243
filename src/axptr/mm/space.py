"""`AddrSpace`: an address space as its owner sees it.

Maps, unmaps and protects areas, finds room, lists what is there. Those who only use memory need pointers and
the `UserMemory` methods; both are served by the compiled base classes (`_core`), with every invariant.

A failed call leaves the space as it was, except `populate_area`, whose finished pages stay. All methods are
safe from several threads.
"""

from __future__ import annotations

import errno
import os
from _thread import RLock, get_ident

from axptr._core.mm.frames import Backend, FrameStore
from axptr._core.mm.history import History
from axptr._core.phys.phys import PhysMemory
from axptr._core.words.codes import ACCESS, TRAIT_LOCKED, TRAIT_ON_FAULT, TRAIT_UNASKED, TRAITS_OF_CLONES
from axptr.addr import ADDRESS_END, PAGE_SIZE, VirtAddrRange, checked_address, checked_size
from axptr.errors import FaultReason, LinuxError, UserFault
from axptr.flags import MappingFlags, rwx
from axptr.mm.area import CLONE_RULES, MemoryArea
from axptr.mm.backend import ALLOC, FileBackend, LinearBackend, SharedBackend, SharedObject
from axptr.mm.fault import REASONS, describe
from axptr.mm.filecache import FileCache, sync_all
from axptr.mm.snapshots.snapshot import Epoch, path
from axptr.mm.snapshots.snapshot import Snapshot as Snapshot
from axptr.mm.twins import Twins, make_twins, use_twins
from axptr.model import DataModel
from axptr.paging import X86_64, PagingFormat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from axptr.mm.backend import FileLike
    from axptr.mm.pager import DeviceRead, DeviceWrite, Fetch

    R = TypeVar("R")

_LOCKS = TRAIT_LOCKED | TRAIT_ON_FAULT


class AddrSpace(History):
    """The addresses [base, base + size), with real page tables of format `fmt` in `phys`.

    base, size: bytes, page aligned, within one half of what the format can translate, `ValueError` otherwise.
    phys: the memory that frames and tables come from; None is the process-wide one. Raises `LinuxError(ENOMEM)`
    if there is no frame for the root table.
    """

    def __init__(self, base: int, size: int, phys: PhysMemory | None = None, fmt: PagingFormat = X86_64) -> None:
        """Frames and tables are seen to in `__cinit__` of the compiled base classes."""
        self.bounds: dict[str, int] = {}
        """Addresses that belong to the space, such as a program's break: clones and snapshots carry them along."""
        self._epoch: Epoch | None = None
        self._history = RLock()
        self._twins: Twins = {}
        self._stops: dict[int, LinuxError] = {}
        self.line: object = None
        """By which a space is known among those of one origin; set by whoever takes and restores them."""
        self.shown: dict[int, Backend] = {}
        """Of theirs too: which backend stands for one of a frozen twin."""
        self.habits: object = None
        """What native CPUs found out about spaces of one origin: `axptr._core.cpu.native.habits`."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.with_addr_space is not AddrSpace.with_addr_space:
            raise TypeError(
                f"{cls.__name__} overrides with_addr_space, which verbs pass by: lock a space with Locked(space)"
            )

    @property
    def model(self) -> DataModel:
        """The data model of the program that lives here, LP64 unless set: how pointers read pointers and numbers.

        Clones and snapshots carry it along. `TypeError` for what is no `DataModel`, `ValueError` for one of no program.
        """
        return super().model

    @model.setter
    def model(self, model: DataModel) -> None:
        self._set_model(model)

    def with_addr_space(self, f: Callable[[AddrSpace], R]) -> R:
        """Call `f` with this space: a space is its own `AddrSpaceProvider`."""
        return f(self)

    # -- mapping ------------------------------------------------------------------------------------------

    def map(
        self,
        start: int,
        size: int,
        flags: MappingFlags,
        backend: Backend,
        *,
        replace: bool = False,
        name: str = "",
        grows_down: int = 0,
    ) -> None:
        """Map `size` bytes at `start` to `backend`. Nothing is populated.

        grows_down: bytes that the area may reach in all by growing towards lower addresses on a fault; 0 for
        an area of fixed size. Raises `LinuxError`: EINVAL if unaligned or empty, ENOMEM outside the space,
        EEXIST over an existing area unless `replace`; the space is then as before.
        """
        if not isinstance(backend, Backend):
            raise TypeError(f"backend must be a Backend, not {type(backend).__name__}")
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, not {type(name).__name__}")
        released = self._map(
            start,
            size,
            MappingFlags(flags),
            backend,
            str.__str__(name),
            replace,
            checked_size(grows_down, "grows_down"),
        )
        if released:
            sync_all(released)

    def unmap(self, start: int, size: int) -> None:
        """Remove every mapping of `size` bytes at `start`; holes are skipped. O(log n) and the pages there.

        What was written through shared mappings of files reaches the files. Raises `LinuxError`: EINVAL if unaligned
        or empty, ENOMEM outside the space.
        """
        released = self._unmap(start, size)
        if released:
            sync_all(released)

    def clear(self) -> None:
        """Unmap everything, in pieces: what a signal handler raises may come out in between; `clear` again goes on.

        Breakpoints and watchpoints go with it.
        """
        if self.stops is not None:
            self._set_points(None, [], {})
        at: int | None = self.base
        while at is not None:
            released, at = self._clear_from(at)
            sync_all(released)

    def move(self, start: int, size: int, to: int, *, keep: bool = False) -> None:
        """Move the areas in `size` bytes at `start`, with their pages, to the free place `to`; holes stay holes.

        keep: the areas stay where they were, without the pages that were theirs alone (`MREMAP_DONTUNMAP`). Raises
        `LinuxError`: EINVAL if unaligned, empty or overlapping itself, ENOMEM outside the space or when there are no
        frames for page tables, EEXIST where `to` is not free; nothing is changed then.
        """
        self._move(start, size, to, keep)

    def discard(self, start: int, size: int) -> None:
        """Give up the pages of a range and keep its areas: the next touch brings fresh ones in (`MADV_DONTNEED`).

        Holes are skipped; what shared memory and files hold stays there. Raises `LinuxError` as `unmap`.
        """
        self._discard(start, size)

    def sync(self, start: int, size: int) -> None:
        """Write what was written through shared mappings in the range to their files (msync(2)); holes are skipped.

        A file that became shorter is not extended. Raises `LinuxError`: as `unmap`, or what the host's write gave.
        """
        for store, first, last in self._shared_files(start, size):
            if isinstance(store, FileCache):
                store.sync(first, last)

    def set_read_unasked(self, start: int, size: int, unasked: bool) -> None:
        """Note of every area in the range whether its owner asked for EXECUTE alone (`MemoryArea.read_unasked`).

        ENOMEM over a hole, nothing changed then.
        """
        self._set_traits(start, size, TRAIT_UNASKED if unasked else 0, TRAIT_UNASKED)

    def set_clone_rule(self, start: int, size: int, rule: str) -> None:
        """What `try_clone` does with areas: "copy", "omit" (`MADV_DONTFORK`) or "wipe" (`MADV_WIPEONFORK`).

        Raises `ValueError` for another rule, `LinuxError` as `protect`.
        """
        if rule not in CLONE_RULES:
            raise ValueError(f"no such rule: {rule!r}; want one of copy, omit, wipe")
        self._set_traits(start, size, CLONE_RULES.index(rule), TRAITS_OF_CLONES)

    def set_locked(self, start: int, size: int, locked: bool, *, on_fault: bool = False) -> None:
        """Note whether the owner of the areas in a range asked that their pages stay (mlock(2)). Raises as `protect`.

        Pages stay anyway: this is seen in `MemoryArea.locked` alone, and a clone does not inherit it.
        """
        self._set_traits(start, size, (_LOCKS if on_fault else TRAIT_LOCKED) if locked else 0, _LOCKS)

    # -- copies -------------------------------------------------------------------------------------------

    def try_clone(self) -> AddrSpace:
        """A copy-on-write twin: the same areas, the same bytes, later writes to private pages are each side's own.

        Shared mappings stay shared; pages under live views are copied at once. Costs the page tables. Raises
        `LinuxError(ENOMEM)` when frames run out, this space as it was.
        """
        twin = AddrSpace(self.base, self.size, self.phys, self.format)
        self._clone_into(twin, False)
        self.phys._fence()  # nobody writes on to what is the twin's too
        twin.bounds.update(self.bounds)
        twin._twins = dict(self._twins)
        twin.model = self.model
        return twin

    def snapshot(self) -> Snapshot:
        """The state of this space now, for `restore`. Costs the page tables, and the frames of shared anonymous memory.

        Raises `LinuxError(ENOMEM)` when frames run out, this space as it was.
        """
        return self._freeze(shared=True)

    def _freeze(self, *, shared: bool) -> Snapshot:
        """`snapshot`; shared: whether with the bytes of shared memory, which else somebody else keeps."""
        frozen = AddrSpace(self.base, self.size, self.phys, self.format)
        with self._history:
            frozen.bounds.update(self.bounds)
            frozen.model = self.model
            before, self._epoch = self._epoch, None  # "anywhere", should we be interrupted between journal and epoch
            try:
                with self.phys._held():
                    stores = self._shared_memory() if shared else []
                    captures = [(store, *self._captured(store)) for store in stores]
                    notes = self._clone_into(frozen, True)
                    self.phys._fence()
            except LinuxError:
                self._epoch = before
                raise
            self._epoch = Epoch(before, notes)
            return Snapshot(frozen, self._epoch, captures)

    @classmethod
    def _thaw(cls, snap: Snapshot) -> AddrSpace:
        """A new space in the state of a snapshot, whose shared memory is still that of then. Raises
        `LinuxError(ENOMEM)`."""
        frozen = snap._frozen
        space = cls(frozen.base, frozen.size, frozen.phys, frozen.format)
        frozen._clone_into(space, True)
        space.bounds.update(frozen.bounds)
        space.model = frozen.model
        space.habits = frozen.habits
        space._take()  # what changes from here on is what changed since the snapshot
        space._epoch = snap._epoch
        return space

    @classmethod
    def from_snapshot(cls, snap: Snapshot) -> AddrSpace:
        """A new space in the state of a snapshot, in the snapshot's memory. Raises `LinuxError(ENOMEM)`.

        No other space is changed: shared anonymous memory is the new space's own from here on, also when it is restored
        to this snapshot.
        """
        if not isinstance(snap, Snapshot):
            raise TypeError(f"want a Snapshot, not {type(snap).__name__}")
        frozen = snap._frozen
        space = cls(frozen.base, frozen.size, frozen.phys, frozen.format)
        space._twins = make_twins(snap)
        space.restore(snap)
        return space

    def _captured(self, store: FrameStore) -> tuple[FrameStore, int]:
        for space in self.phys._spaces():
            if isinstance(space, AddrSpace):
                space._guard_store(store, 0, (1 << 64) - 1)
        return store.capture()

    @classmethod
    def _unpickled(cls, meta: bytes, parts: list[Any]) -> Snapshot:
        """What the pickle of a snapshot calls."""
        from axptr.mm.snapshots.decode import decode

        return Snapshot._of_parts(*decode(meta, parts, cls))

    def restore(self, snap: Snapshot) -> None:
        """Make this space what it was: areas, permissions, names, bytes, `bounds`. Costs what changed since.

        Of any number of snapshots, in any order; also one of another space of the same memory, bounds and format, at
        the cost of looking at everything. Shared anonymous memory is restored in place, for all who map it (but see
        `from_snapshot`); pages under live views too. Pages put back count as dirty. Raises `LinuxError(ENOMEM)` when
        there are no frames for page tables, `ValueError` for a snapshot of another memory, bounds or format; this space
        is as it was then.
        """
        if not isinstance(snap, Snapshot):
            raise TypeError(f"want a Snapshot, not {type(snap).__name__}")
        frozen = snap._frozen
        if frozen.phys is not self.phys:
            raise ValueError("the snapshot belongs to another PhysMemory")
        if (frozen.base, frozen.size, frozen.format) != (self.base, self.size, self.format):
            raise ValueError(f"the snapshot is one of {frozen!r}, this is {self!r}")
        self._demand_alive()
        with self._history:
            if self._epoch is snap._epoch and not snap._captures and self._is_untouched():
                self.bounds, self.model = dict(frozen.bounds), frozen.model
                return
            before, self._epoch = self._epoch, None  # as in `snapshot`
            notes = path(before, snap._epoch)
            try:
                with self.phys._held():
                    for some in [None] if notes is None else notes:
                        self._add_notes(some)
                    released = self._restore(frozen)
                    for store, copy, moment in snap._captures:
                        twin = self._twins.get(store)
                        store.revert(copy, moment) if twin is None else twin.revert(copy, 0)
            except LinuxError:
                self._epoch = before
                raise
            self._epoch = snap._epoch
            if self._twins:
                use_twins(self, self._twins)
            self.bounds, self.model = dict(frozen.bounds), frozen.model
        if released:
            sync_all(released)

    # -- kinds of areas -----------------------------------------------------------------------------------

    def map_alloc(
        self,
        start: int,
        size: int,
        flags: MappingFlags,
        *,
        populate: bool = False,
        replace: bool = False,
        name: str = "",
        grows_down: int = 0,
    ) -> None:
        """Map fresh zeroed memory, private to the space. `populate` brings its pages in at once.

        Raises as `map`; with `populate` also `LinuxError(ENOMEM)` when frames run out, and then nothing is mapped.
        """
        granted = MappingFlags(flags) & ACCESS
        if populate and replace and granted and checked_size(size) and start % PAGE_SIZE == 0 and size % PAGE_SIZE == 0:
            self._need_frames(start, size)
        self.map(start, size, flags, ALLOC, replace=replace, name=name, grows_down=grows_down)
        if populate and granted:
            wanted = MappingFlags.WRITE if granted & MappingFlags.WRITE else MappingFlags(granted)
            try:
                self.populate_area(start, size, wanted)
            except LinuxError:
                self.unmap(start, size)
                raise

    def _need_frames(self, start: int, size: int) -> None:
        """ENOMEM if there may be too few frames to fill a range, before what stands there is given up for it."""
        pages = size // PAGE_SIZE
        there = self.resident_pages(start, size)
        shifts = [level.shift for level in self.page_table.format.levels[:-1]]
        # What leads to the pages that are there is there too, or becomes free with them.
        tables = sum(((start + size - 1) >> n) - (start >> n) + 1 - len({at >> n for at in there}) for n in shifts)
        if pages + tables > self.phys.free_frames + len(there):
            raise LinuxError(errno.ENOMEM, f"no frames left for {pages} pages and their tables")

    def map_linear(
        self, start: int, paddr: int, size: int, flags: MappingFlags, *, replace: bool = False, name: str = ""
    ) -> None:
        """Map the physical memory [paddr, paddr + size) at `start`: a window, shared by nature.

        A frame in it that nobody holds when it is touched is a fault (backing failed). Raises as `map`, also
        EINVAL for an unaligned `paddr` and ENOMEM if it does not lie in `phys`.
        """
        backend = LinearBackend(paddr)
        if paddr + checked_size(size) > self.phys.size:
            raise LinuxError(errno.ENOMEM, f"{size:#x} bytes at {paddr:#x} do not lie in the physical memory")
        self.map(start, size, flags, backend, replace=replace, name=name)

    def map_shared(
        self,
        start: int,
        size: int,
        flags: MappingFlags,
        shared: SharedObject,
        offset: int = 0,
        *,
        replace: bool = False,
        name: str | None = None,
    ) -> None:
        """Map a shared object from `offset` (bytes, page aligned) on: what one mapping writes, all see.

        Pages past the object's end fault (backing failed). name: by default the object's. Raises as `map`, also EINVAL
        for an unaligned offset, and `ValueError` if the object's frames belong to another memory.
        """
        backend = SharedBackend(shared, offset)
        self.map(start, size, flags, backend, replace=replace, name=shared.store.label if name is None else name)

    def map_file(
        self,
        start: int,
        size: int,
        flags: MappingFlags,
        file: FileLike,
        offset: int = 0,
        *,
        shared: bool = False,
        replace: bool = False,
        name: str | None = None,
    ) -> None:
        """Map a regular file from `offset` (bytes, page aligned) on.

        Private: writes stay in the space. `shared`: they reach the file on `sync`, on unmap and at the end of the
        space, and every mapping sees them at once; one that could only be opened for reading is never writable
        (EACCES). file: a path, a descriptor, or an object with `fileno()`; it may be closed afterwards. name: by
        default the file's path. Bytes past its end in the last page are zero; pages wholly past it fault (backing
        failed; `SIGBUS` to a program). Raises as `map` and `FileBackend`.
        """
        backend = FileBackend(self.phys, file, offset, shared=shared)
        self.map(start, size, flags, backend, replace=replace, name=backend.store.label if name is None else name)

    def map_pager(
        self,
        start: int,
        size: int,
        flags: MappingFlags,
        fetch: Fetch,
        *,
        replace: bool = False,
        name: str = "",
    ) -> None:
        """Map private pages that `fetch(offset)` supplies at first touch, `offset` counting bytes from `start`.

        It gives at most a page of bytes, the rest is zero; it is called with no lock held, once for each page and
        touch that brings it in. What it raises becomes the cause of a `UserFault` (backing failed), or comes out of
        the run of a guest CPU. Raises as `map`.
        """
        from axptr.mm.pager import PagerBackend

        self.map(start, size, flags, PagerBackend(fetch), replace=replace, name=name)

    def map_mmio(
        self,
        start: int,
        size: int,
        flags: MappingFlags,
        read: DeviceRead,
        write: DeviceWrite,
        *,
        replace: bool = False,
        name: str = "",
    ) -> None:
        """Map a device: `read(offset, size) -> int`, `write(offset, size, value)`; offsets count from `start`.

        Copies of 1, 2, 4 or 8 bytes are one call, others a sequence. There are no frames: live views and strings are
        refused (not memory). What a function raises becomes the cause of a `UserFault`. Raises as `map`.
        """
        from axptr.mm.pager import MmioBackend

        self.map(start, size, flags, MmioBackend(read, write), replace=replace, name=name)

    def protect(self, start: int, size: int, flags: MappingFlags) -> None:
        """Give every area in the range other flags, splitting at its ends.

        Raises `LinuxError`: EINVAL if unaligned or empty, ENOMEM over a hole or outside the space; nothing is
        changed then.
        """
        self._protect(start, size, MappingFlags(flags))

    def find_free_area(
        self, hint: int, size: int, limit: VirtAddrRange, align: int = PAGE_SIZE, *, topdown: bool = False
    ) -> int | None:
        """A free place for `size` bytes inside `limit`, its start a multiple of `align` bytes (a power of two).

        The lowest at or above `hint`, or with `topdown` the highest whose end is at or below the end of `limit`
        (`hint` unused); None if there is none. Raises `ValueError` for a size of 0 or an `align` that is no
        multiple of the page.
        """
        nbytes = checked_size(size)
        if not isinstance(limit, VirtAddrRange):
            raise TypeError(f"limit must be a VirtAddrRange, not {type(limit).__name__}")
        if nbytes == 0 or checked_size(align, "align") < PAGE_SIZE or align & (align - 1):
            raise ValueError(f"{nbytes} bytes aligned to {align}: want at least one byte, pages and a power of two")
        low = max(checked_address(hint, "hint"), limit.start)
        if topdown:
            low = limit.start
        if low >= limit.end or nbytes > min(limit.size, self.size) or align >= ADDRESS_END:
            return None
        return self._gap(low, limit.end - 1, -(-nbytes // PAGE_SIZE) * PAGE_SIZE, align, topdown)

    # -- looking ------------------------------------------------------------------------------------------

    def areas(self) -> list[MemoryArea]:
        """Every area, by address."""
        return [MemoryArea.of(fields) for fields in self._all_areas()]

    def find_area(self, vaddr: int) -> MemoryArea | None:
        """The area that holds `vaddr`. O(log n)."""
        fields = self._area(vaddr)
        return None if fields is None else MemoryArea.of(fields)

    def neighbours(self, vaddr: int) -> tuple[MemoryArea | None, MemoryArea | None]:
        """The last area that starts at or below `vaddr`, which may hold it, and the first above. O(log n)."""
        low, high = self._neighbours(vaddr)
        return None if low is None else MemoryArea.of(low), None if high is None else MemoryArea.of(high)

    def format_maps(self) -> str:
        """The areas as `/proc/pid/maps` prints them (proc_pid_maps(5))."""
        lines = []
        for area in self.areas():
            kind = "s" if area.backend.shared else "p"
            store = area.backend.store
            major, minor, inode = (os.major(store.device), os.minor(store.device), store.inode) if store else (0, 0, 0)
            offset = area.offset if store else 0
            head = (
                f"{area.start:08x}-{area.end:08x} {rwx(area.flags)}{kind} {offset:08x} {major:02x}:{minor:02x} {inode}"
            )
            lines.append(f"{head:<73}{area.name}" if area.name else head)
        return "".join(line.rstrip() + "\n" for line in lines)

    def format_svg(self, title: str = "", *, name_of: Callable[[MemoryArea], str] | None = None) -> str:
        """A picture of the areas, their permissions and their pages, as an SVG document (`mm.picture`).

        name_of: what an area is called; its `name` if that is not told.
        """
        if not isinstance(title, str):
            raise TypeError(f"title must be a str, not {type(title).__name__}")
        from axptr.mm.picture import svg

        return svg(self, title, name_of=name_of)

    def _repr_html_(self) -> str:
        """How a notebook shows the space: a picture of bounded size."""
        from axptr.mm.picture import html

        return html(self)

    def fault(self, vaddr: int, access: MappingFlags, size: int = 1, completed: int = 0) -> UserFault:
        """The `UserFault` that an access refused at `vaddr` gives: built, not raised, the cause found by looking."""
        if vaddr == ADDRESS_END:  # what comes after the last byte there can be
            return self._describe(FaultReason.OUT_OF_RANGE, vaddr, int(access), size, completed)
        byte = VirtAddrRange.from_start_size(vaddr, 1)
        if not self.check_region_access(byte, MappingFlags(0)):
            inside = self.base <= vaddr < self.base + self.size
            reason = FaultReason.UNMAPPED if inside else FaultReason.OUT_OF_RANGE
        elif not self.check_region_access(byte, access):
            reason = FaultReason.PROTECTION
        elif self._device_at(vaddr) is not None:
            reason = FaultReason.NOT_MEMORY
        else:
            reason = FaultReason.BACKING_FAILED
        return self._describe(reason, vaddr, int(access), size, completed)

    def _fault_at(self, vaddr: int, access: MappingFlags, size: int = 1, completed: int = 0) -> UserFault:
        """`fault` for the copy of this thread that stopped there, with what a user's function raised as its cause."""
        found = self.fault(vaddr, access, size, completed)
        why = self._stops.pop(get_ident(), None)
        if why is not None:
            found.__cause__ = why.__cause__ or why
        return found

    def _stopped(self, why: LinuxError | None) -> None:
        """What stopped the counted copy that this thread makes; None at its start."""
        if why is not None:
            self._stops[get_ident()] = why
        elif self._stops:
            self._stops.pop(get_ident(), None)

    def _page_in(self, vaddr: int, access: int, size: int = 1, completed: int = 0) -> None:
        from axptr.mm.pager import page_in

        page_in(self, vaddr, access, size, completed)

    def _device_move(self, vaddr: int, buffer: bytearray, access: int) -> None:
        from axptr.mm.pager import device_move

        device_move(self, vaddr, buffer, access)

    def _device_piece(self, vaddr: int, buffer: bytearray, access: int) -> int:
        from axptr.mm.pager import device_piece

        return device_piece(self, vaddr, buffer, access)

    def _make_fault(self, code: int, bad: int, access: int, size: int, completed: int) -> UserFault:
        return self._describe(REASONS[code], bad, access, size, completed)

    def _describe(self, reason: FaultReason, bad: int, access: int, size: int, completed: int) -> UserFault:
        beside = self._neighbours(min(bad, ADDRESS_END - 1))
        below, above = (None if one is None else MemoryArea.of(one) for one in beside)
        return describe(reason, bad, access, size, completed, below, above)

    def __repr__(self) -> str:
        where = f"{self.base:#x}-{self.base + self.size:#x} {self.page_table.format.name}"
        return f"<AddrSpace {where}, {self.area_count} areas>"

    def __str__(self) -> str:
        return self.format_maps()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        raise TypeError("an address space cannot be pickled: pickle its snapshot()")

    def __deepcopy__(self, memo: Any) -> AddrSpace:
        raise TypeError("an address space cannot be copied this way")


Snapshot._make_space = AddrSpace
