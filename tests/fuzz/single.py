"""The calls through one typed pointer: every verb of `UserPtr` and `UserConstPtr`, with any T, address and provider."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable
from typing import Any

import numpy as np

from axptr import LinuxError, UserConstPtr, UserPtr, container_of

from .hostile import Sly
from .judge import POISON, Broken, Entry
from .kinds import KINDS, NO_TYPES, Kind
from .shadow import END, Page
from .world import Held, World, raw_of


def chosen(w: World) -> Kind:
    w.kind = w.source.byte() % len(KINDS)
    return KINDS[w.kind]


def pointer(w: World, kind: Kind, const: bool) -> Any:
    """A pointer of this kind to some address."""
    where = w.any_address()
    ptype = kind.types[const]
    return ptype(where) if type(where) is int and not w.wrong else w.call(ptype, where)


def fits(w: World, kind: Kind, entry: Entry) -> None:
    """Note it if this T has no form in the model of that memory: a mistake of the Python caller."""
    if kind.layout(entry.model) is None:
        w.wrong = True


def sized(kind: Kind, entry: Entry) -> tuple[int, int]:
    """Size and alignment of T in that memory; the host's where it has no form."""
    return kind.layout(entry.model) or (kind.size, kind.align)


def known(kind: Kind, entry: Entry) -> bool:
    """Whether the bytes of T in that memory are those that `kind` says, or `told` can tell."""
    return entry.native or kind.foreign or kind.flips


def told(kind: Kind, entry: Entry, raw: bytes) -> bytes:
    """Bytes of T in that memory as `kind` has them, and the other way round."""
    return raw[::-1] if kind.flips and entry.model.order == "big" else raw


def value_for(w: World, kind: Kind, entry: Entry) -> tuple[Any, bytes | None]:
    choice = w.source.byte()
    if choice >= 0xE0 or not kind.good:
        w.wrong = True
        return kind.bad[choice % len(kind.bad)], None
    value, raw = kind.good[choice % len(kind.good)]
    if not known(kind, entry):
        w.wrong = True  # pointers may be too wide, structures are of the twin's class
        raw = None
    if raw is not None:
        raw = told(kind, entry, raw)
    if choice >= 0xD8 and type(value) is int and kind.walks and not kind.foreign:
        return Sly(w, value), raw
    return value, raw


def same_value(w: World, kind: Kind, entry: Entry, at: int, got: Any, what: str) -> None:
    if kind.value is None or not known(kind, entry):
        return
    raw = entry.shadow.peek(at, kind.size)
    if raw is not None:
        w.same(what, raw_of(got), kind.value(told(kind, entry, raw)))


def read(w: World) -> None:
    unaligned, const = w.source.byte() & 1, w.source.byte() & 1
    kind = chosen(w)
    p = pointer(w, kind, bool(const))
    provider, entry = w.target()
    if p is None:
        return
    fits(w, kind, entry)
    get = p.read_unaligned if unaligned else p.get if const else p.read
    got = w.call(get, provider)
    size, align = sized(kind, entry)
    if no_text(w, kind):
        return
    if w.expect(entry, p.address, size, 1 if unaligned else align, 1) and w.error is None:
        same_value(w, kind, entry, p.address, got, "read")


def no_text(w: World, kind: Kind) -> bool:
    """Whether the bytes there were read, and are no characters."""
    return kind.value is None and isinstance(w.error, LinuxError) and w.error.errno == errno.EILSEQ


def write(w: World) -> None:
    unaligned = w.source.byte() & 1
    kind = chosen(w)
    p = pointer(w, kind, False)
    provider, entry = w.target()
    if p is None:
        return
    fits(w, kind, entry)
    value, raw = value_for(w, kind, entry)
    w.call(p.write_unaligned if unaligned else p.write, provider, value)
    size, align = sized(kind, entry)
    w.expect(entry, p.address, size, 1 if unaligned else align, 2)
    if w.error is None:
        w.wrote(entry, p.address, size, raw)
    w.spoiled(entry, p.address, size)


def read_slice(w: World) -> None:
    kind = chosen(w)
    p = pointer(w, kind, bool(w.source.byte() & 1))
    provider, entry = w.target()
    n = w.any_count()
    if p is None:
        return
    fits(w, kind, entry)
    room = entry.room(provider)
    got = w.call(p.read_slice, provider, n)
    if no_text(w, kind):
        return
    size, align = sized(kind, entry)
    if not w.wrong:
        w.afford(room, int(n) * size)
    if not w.wrong and w.expect(entry, p.address, int(n) * size, align, 1):
        if w.error is not None:
            return
        if len(got) != int(n):
            raise Broken(f"{n} elements wanted, {len(got)} given")
        if isinstance(got, bytes):
            raw = entry.shadow.peek(p.address, int(n))
            if raw is not None:
                w.same("read_slice", got, raw)
        elif n:
            same_value(w, kind, entry, p.address + (n - 1) * size, got[n - 1], "read_slice")


def write_slice(w: World) -> None:
    kind = chosen(w)
    p = pointer(w, kind, False)
    provider, entry = w.target()
    n = w.source.byte() % 9
    if p is None:
        return
    fits(w, kind, entry)
    size, align = sized(kind, entry)
    if kind.T in (ctypes.c_char, ctypes.c_uint8) and n > 4:
        data: Any = w.data()
        raw, total = data, len(data)
    else:
        pairs = [value_for(w, kind, entry) for _ in range(n)]
        data = [value for value, _ in pairs]
        raw = None if any(one is None for _, one in pairs) else b"".join(one or b"" for _, one in pairs)
        total = n * size
        if n == 7:
            w.wrong = True
            data = w.source.pick([5, None, object(), "xyz", (ctypes.c_uint32 * 2)(), memoryview(bytes(9))[::2]])
            raw, total = None, 1 << 12
    w.call(p.write_slice, provider, data)
    if not w.wrong:
        w.expect(entry, p.address, total, align, 2)
    if w.error is None:
        w.wrote(entry, p.address, total, raw)
    w.spoiled(entry, p.address, total)


def copy_in(w: World) -> None:
    kind = chosen(w)
    p = pointer(w, kind, True)
    provider, entry = w.target()
    choice = w.source.byte()
    buffer: Any = bytearray(choice % 70 if choice < 0xD0 else (choice & 15) * 900)
    if choice == 0xFE:
        w.wrong = True
        buffer = w.source.pick([b"read-only", "x", None, 5, memoryview(bytearray(9))[::2]])
    if p is None:
        return
    done = w.call(p.copy_in, provider, buffer)
    if w.wrong:
        return
    w.partial(entry, p.address, len(buffer), 1, done)
    if done:
        if POISON in buffer[:done]:
            raise Broken("bytes of a freed frame were copied in")
        known_bytes = entry.shadow.peek(p.address, done) if entry.shadow.sure else None
        if known_bytes is not None:
            w.same("copy_in", bytes(buffer[:done]), known_bytes)


def copy_out(w: World) -> None:
    p = pointer(w, chosen(w), False)
    provider, entry = w.target()
    data: Any = w.data()
    if w.source.byte() == 0xFF:
        w.wrong = True
        data = w.source.pick(["x", None, 5, [1]])
    if p is None:
        return
    done = w.call(p.copy_out, provider, data)
    if done is not None and not w.wrong:
        w.partial(entry, p.address, len(data), 2, done)
        w.wrote(entry, p.address, int(done), data[:done])


def text(w: World) -> None:
    """read_cstr and get_as_str."""
    kind = chosen(w)
    decoded = w.source.byte() & 1
    p = pointer(w, kind, True)
    provider, entry = w.target()
    most = w.any_count(64) if w.source.byte() & 1 else None
    if p is None:
        return
    if not kind.text:
        w.wrong = True
    got = w.call(p.get_as_str if decoded else p.read_cstr, provider, most)
    if got is None or w.wrong or not entry.shadow.sure:
        return
    raw = got.encode() if decoded else got
    if most is not None and len(raw) > most:
        raise Broken(f"a string of {len(raw)} bytes, {most} were allowed")
    wanted = entry.shadow.peek(p.address, len(raw) + 1)
    if wanted is not None:
        w.same("string", raw + b"\0", wanted)


def arithmetic(w: World) -> None:
    """+, -, [], distances, comparisons, cast, as_const, nullable: nothing touches memory."""
    kind = chosen(w)
    p = pointer(w, kind, bool(w.source.byte() & 1))
    if p is None:
        return
    choice = w.source.byte()
    n: Any = w.count()
    n = -n if choice & 8 else n
    if choice >= 0xF0:
        w.wrong = True
        n = w.source.pick(["x", None, 1.5, b"", [], p])
    operation: Callable[..., Any] = (p.__add__, p.__sub__, p.__getitem__)[choice % 3]
    got = w.call(operation, n)
    if not w.wrong:
        goal = p.address + (-n if choice % 3 == 1 else n) * kind.size
        if w.error is None:
            if got is NotImplemented or got.address != goal or not 0 <= goal < END:
                raise Broken(f"{p!r} and {n:#x} make {got!r}")
        elif 0 <= goal < END:
            raise Broken(f"{p!r} and {n:#x}: {w.error}")
    other = pointer(w, kind, False)
    if other is not None:
        w.wrong = True  # a distance that is no whole number of elements
        w.call(p.__sub__, other)
        w.wrong = False
        w.call(lambda: (p < other, p <= other, p == other, hash(p), bool(p), p.is_null, p.nullable(), p.__index__()))
    if choice & 16:
        w.wrong = True
        w.call(lambda: iter(p))
        w.call(lambda: p < n)


def cast(w: World) -> None:
    """cast, of, under, field, container_of, as_const: types and members, good and bad."""
    kind = chosen(w)
    choice = w.source.byte()
    p = pointer(w, kind, bool(choice & 1))
    if p is None:
        return
    if choice >= 0xE0:
        w.wrong = True
        w.call((UserPtr, UserConstPtr)[choice & 1].of, NO_TYPES[choice % len(NO_TYPES)])
        w.call(p.cast, NO_TYPES[w.source.byte() % len(NO_TYPES)])
        return
    goal = chosen(w)
    made = w.call(p.cast, goal.T)
    if made is not None and made.address != p.address:
        raise Broken(f"{p!r} cast to {goal!r} is {made!r}")
    if choice & 2:
        model = w.source.pick([*(entry.model for entry in w.entries), None, "LP64"])
        w.wrong = model is None or isinstance(model, str) or kind.layout(model) is None
        w.call(p.type.under, model)
        w.wrong = False
    if choice & 4 and not choice & 1:
        w.call(p.as_const)
    if kind.paths:
        path = kind.paths[w.source.byte() % len(kind.paths)]
        member = w.call(p.field, path)
        if member is not None and w.call(container_of, member, kind.T, path) != p:
            raise Broken(f"{path} of {p!r} is contained elsewhere")
    if choice & 8:
        w.wrong = True
        bad = w.source.pick(
            ["", "nope", "x.y.z", "[9999999999999999999999]", ".x", "low", "[", "x[", "x..y", None, 5, "é", "a[0]"]
        )
        w.call(p.field, bad)
        w.call(container_of, p, kind.T, bad)


def each(w: World) -> None:
    """each and follow, step by step; the walk may go on after other calls."""
    kind = chosen(w)
    p = pointer(w, kind, bool(w.source.byte() & 1))
    provider, entry = w.target()
    choice = w.source.byte()
    if p is None:
        return
    fits(w, kind, entry)
    if choice & 1:
        if not kind.walks:
            w.wrong = True
        limit = None if choice & 2 else w.any_count()
        walk = w.call(p.each, provider, limit)
    else:
        if choice & 2 or not kind.links:
            w.wrong = True
            path: Any = w.source.pick(["", "nope", "[0]", None, "points"])
        else:
            path = kind.links[w.source.byte() % len(kind.links)]
        end = w.any_address() if choice & 4 else 0
        walk = w.call(p.follow, provider, path, w.any_count(), end)
    for _ in range(choice >> 4):
        if walk is None:
            return
        w.call(next, walk, also=(StopIteration,))
        if w.error is not None:
            return
    if walk is not None and not w.wrong and len(w.walks) < 4:
        w.walks.append(walk)


def walk_on(w: World) -> None:
    """The next step of a walk or a search that was begun before."""
    if w.walks:
        i = w.source.byte() % len(w.walks)
        w.call(next, w.walks[i], also=(StopIteration,))
        if w.error is not None:
            del w.walks[i]


# -- live views -----------------------------------------------------------------------------------------------


def hold(w: World) -> None:
    """get, get_as_slice and get_as_null_terminated: views that outlive what they show."""
    kind = chosen(w)
    choice = w.source.byte()
    const = bool(choice & 1)
    p = pointer(w, kind, const)
    provider, entry = w.target()
    if p is None:
        return
    fits(w, kind, entry)
    if not entry.real or not kind.live or (kind.T is ctypes.c_wchar and entry.model.order == "big"):
        w.wrong = True  # it says so: `BufferError`, `TypeError`
    nbytes, align = sized(kind, entry)
    access = 1 if const else 3
    size: int | None = None
    if choice % 3 == 0 and not const:
        shown = w.call(p.get, provider)
        size = nbytes
    elif choice % 3 == 1:
        n = w.any_count()
        shown = w.call(p.get_as_slice, provider, n)
        size = None if w.wrong else int(n) * nbytes
    else:
        most = w.any_count(64) if choice & 8 else None
        shown = w.call(p.get_as_null_terminated, provider, most)
    if size is not None and not w.wrong:
        w.expect(entry, p.address, size, align, access)
    if shown is None:
        return
    if isinstance(shown, np.generic) and not isinstance(shown, np.void):
        raise Broken(f"a live {kind.T!r} is a copy")
    if size is None and isinstance(shown, memoryview):
        size = shown.nbytes
    pages: list[Page] | None = None
    if entry.real and entry.shadow.sure and size:
        numbers = range(p.address >> 12, (p.address + size - 1 >> 12) + 1)
        pages = [entry.shadow.pages[i] for i in numbers if i in entry.shadow.pages]
        if len(pages) != len(numbers) or not all(page.solid for page in pages):
            pages = None
    if len(w.views) >= 8:
        del w.views[w.source.byte() % 8]
    w.views.append(Held(shown, p.address, size or 0, not const, pages, entry.shadow))
    touch(w, w.views[-1])


def look(w: World) -> None:
    """Read, write, slice or drop a view taken before."""
    if not w.views:
        return
    choice = w.source.byte()
    held = w.views[(choice >> 4) % len(w.views)]
    if choice & 15 == 15:
        w.views.remove(held)
    elif choice & 15 > 9:
        scribble(w, held)
    else:
        touch(w, held)


def flat(shown: Any) -> memoryview | None:
    """All the bytes that a view shows; None for the few objects that are no buffer."""
    try:
        view = memoryview(shown)
        return view.cast("B") if view.nbytes else None
    except (TypeError, ValueError, BufferError):
        return None


def touch(w: World, held: Held) -> None:
    """Every byte of the view can be read, none is of a freed frame, and all are what the model says."""
    w.calls += 1
    view = flat(held.shown)
    if view is None:
        return
    got = bytes(view)
    if len(got) > 15 and POISON in got:
        raise Broken(f"a view of {held.start:#x} shows a freed frame")
    if held.pages is not None and len(got) == held.size:
        at, offset = 0, held.start & 0xFFF
        for page in held.pages:
            step = min(4096 - offset, len(got) - at)
            if page.data is not None and got[at : at + step] != page.data[offset : offset + step]:
                bad = next(i for i in range(step) if got[at + i] != page.data[offset + i])
                raise Broken(
                    f"a view of {len(got)} bytes at {held.start:#x} shows {got[at + bad : at + bad + 8].hex()} at byte "
                    f"{at + bad}, not {page.data[offset + bad : offset + bad + 8].hex()}"
                )
            at, offset = at + step, 0
    try:
        repr(held.shown)
    except ValueError:
        pass  # ctypes' own, of a c_wchar that is no character


def touch_all(w: World) -> None:
    for held in w.views:
        touch(w, held)


def scribble(w: World, held: Held) -> None:
    """Store through a view: the space sees it, as long as the page is its own."""
    w.calls += 1
    view = flat(held.shown)
    if view is None or view.readonly:
        if held.writable and held.size and isinstance(held.shown, (memoryview, ctypes.Array)):
            raise Broken("a view of a UserPtr is read-only")
        return
    data = w.data()
    at = w.source.word(2) % len(view)
    data = data[: len(view) - at]
    view[at : at + len(data)] = data
    if held.pages is None or held.size != len(view):
        for entry in w.entries:
            entry.shadow.sure = False  # nobody knows whose bytes these were
        return
    done = 0
    place = (held.start & 0xFFF) + at
    while done < len(data):
        page = held.pages[place >> 12]
        step = min(4096 - (place & 0xFFF), len(data) - done)
        if page.data is not None:
            page.data[place & 0xFFF : (place & 0xFFF) + step] = data[done : done + step]
        done += step
        place += step


def live_item(w: World) -> None:
    """Single items of a view, by the index that its own type takes."""
    if not w.views:
        return
    choice = w.source.byte()
    held = w.views[(choice >> 4) % len(w.views)]
    shown = held.shown
    w.calls += 1
    try:
        if hasattr(shown, "__len__") and len(shown):
            i = w.source.word(2) % len(shown)
            item = shown[i]
            if choice & 1 and held.writable and type(item) in (int, bytes):  # others are not stored as they were
                shown[i] = item
        elif type(getattr(shown, "value", None)) in (int, bytes):
            shown.value = shown.value
        if isinstance(shown, memoryview) and choice & 2:
            half = shown[len(shown) // 2 :]
            (len(half), half.tolist() if half.nbytes < 256 else None, bytes(half[:3]))
    except (NotImplementedError, TypeError, ValueError):
        pass  # a memoryview of two dimensions has no rows; a wide character may be none


OPERATIONS: list[Callable[[World], None]] = [
    read, read, write, write, read_slice, read_slice, write_slice, copy_in, copy_out, text, text, arithmetic, cast,
    each, walk_on, hold, hold, look, look, live_item,
]  # fmt: skip
