"""More calls: structures of other versions, zeros, copies that bring nothing in, text of any encoding, budgets.

They stand behind the others so that the opcodes of those, and with them the kept inputs, mean what they meant.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from axptr import (
    Budget,
    Copied,
    FaultReason,
    LinuxError,
    UserFault,
    UserSlice,
    check_zeroed,
    copy_in_nofault,
    copy_out_nofault,
    copy_struct_out,
    read_string_array,
    read_terminated,
)

from .judge import POISON, Broken
from .kinds import KINDS
from .many import BAD_ENCODINGS, ENCODINGS, ERRORS
from .shadow import END
from .single import fits, pointer, sized
from .world import World

STRUCTURES = [kind for kind in KINDS if kind.plain and kind.size < 1 << 20 and not hasattr(kind.T, "value")]
LETTERS = [kind for kind in KINDS if kind.text or kind.T in (ctypes.c_wchar, "<I", ">Q")]
LETTERS += [kind for kind in KINDS if kind.plain and 1 < kind.size < 8 and hasattr(kind.T, "value")]
ROOMS = (None, 0, 1, 7, 16, 64, 4095, 4096, 5000, 1 << 16, 1 << 32, (1 << 64) - 1, 1 << 70)


def zeroed(w: World) -> None:
    provider, entry = w.target()
    at, n = w.any_address(), w.any_count(5000)
    if type(n) is int and n > 1 << 20 and not entry.shadow.sure:
        n = 1 << 16
    got = w.call(check_zeroed, provider, at, n)
    if got not in (None, True, False):
        raise Broken(f"check_zeroed gave {got!r}")
    if w.wrong or not entry.shadow.sure or type(at) is not int or type(n) is not int:
        return
    bad, solid = entry.shadow.first_bad(at, min(n, END - at), 1)
    good = (min(n, END - at) if bad is None else bad - at) if n < 1 << 30 else 0
    raw = entry.shadow.peek(at, good) if good else b""
    if raw is None or (n and not good):
        return
    if got is not None:
        w.same("check_zeroed", got, not any(raw))
        if got and good < n:
            raise Broken(
                f"check_zeroed of {n} bytes at {at:#x} says that all are zero, and {at + good:#x} cannot be read"
            )
    elif solid and entry.real and isinstance(w.error, UserFault):
        page = raw[: max(0, (at + good & -4096) - at)] if good < n else raw
        if any(page):
            raise Broken(f"check_zeroed looked on after a byte that is not zero: {w.error}")
        w.same("the byte that cannot be read", w.error.address, at + good)
        w.same("the zeros before it", w.error.completed, good)


def struct_out(w: World) -> None:
    provider, entry = w.target()
    choice = w.source.byte()
    at, n = w.any_address(), w.any_count(100)
    if type(n) is int and n > 1 << 20 and not entry.shadow.sure:
        n = 1 << 16
    if choice & 1:
        value: Any = w.data()
        raw: bytes | None = value
    else:
        kind = STRUCTURES[w.source.byte() % len(STRUCTURES)]
        fits(w, kind, entry)
        value, raw = kind.good[choice % len(kind.good)]
        if not entry.native and kind.layout(entry.model) is not None:
            w.wrong, raw = True, None  # a pointer may be too wide; of a union nobody knows the member
    if choice >= 0xF8:
        w.wrong, raw = True, None
        value = w.source.pick(["x", None, 5, [1], object(), ctypes.c_uint32, memoryview(bytes(9))[::2]])
    got = w.call(copy_struct_out, provider, at, value, n)
    if type(n) is not int:
        entry.shadow.sure = False
        return
    size = min(n, END - int(at)) if type(at) is int else 0
    if got is None or raw is None:
        if size >= 1 << 30 or type(at) is not int:
            entry.shadow.sure = False
        else:
            entry.shadow.lose(int(at), size)
        return
    w.same("copy_struct_out", got, not any(raw[n:]))
    whole = raw[:n] + bytes(max(0, n - len(raw)))
    w.expect(entry, int(at), len(whole), 1, 2)
    w.wrote(entry, int(at), len(whole), whole)


def at_once(w: World) -> None:
    """copy_in_nofault and copy_out_nofault: a copy of what is there, which brings nothing in and asks nobody."""
    provider, entry = w.target()
    at = w.any_address()
    choice = w.source.byte()
    data = w.data()
    writes = bool(choice & 1)
    buffer: Any = data if writes else bytearray(len(data))
    if choice == 0xFE:
        w.wrong = True
        buffer = w.source.pick(["x", None, 5, memoryview(bytearray(9))[::2]])
    if not entry.real:
        w.wrong = True
    if type(at) is not int:
        w.wrong = True
        at = int(at) if hasattr(at, "__index__") and not isinstance(at, bytes) and -1 < int(at) < END else at
    frames, asked = w.phys.frames_in_use, w.asked
    done = w.call(copy_out_nofault if writes else copy_in_nofault, provider, at, buffer)
    if w.phys.frames_in_use != frames or w.asked != asked:
        raise Broken(
            f"a copy that brings nothing in: {frames} frames, then {w.phys.frames_in_use}; {w.asked - asked} asked"
        )
    if done is None or w.wrong:
        return
    access, size = 2 if writes else 1, len(data)
    if entry.shadow.sure:
        bad, _ = entry.shadow.first_bad(at, min(size, END - at), access)
        most = min(size, END - at) if bad is None else bad - at
        if not 0 <= done <= most:
            raise Broken(f"{done} of {size} bytes at {at:#x} copied at once, {most} may be")
        if isinstance(done, Copied):
            absent = done.fault.reason in (FaultReason.ABSENT, FaultReason.NOT_MEMORY)
            w.same("where it stopped", (done.fault.address, done.fault.completed), (at + done, done))
            if (done < most) != absent:
                raise Broken(f"{done} of {size} bytes at {at:#x}, {most} may be copied: {done.fault}")
    if done < size and not isinstance(done, Copied):
        raise Broken(f"{done} of {size} bytes copied at once, and no fault")
    if writes:
        w.wrote(entry, at, int(done), data[:done])
        return
    if POISON in buffer[:done]:
        raise Broken("bytes of a freed frame were copied in")
    raw = entry.shadow.peek(at, done) if done and entry.shadow.sure else None
    if raw is not None:
        w.same("copy_in_nofault", bytes(buffer[:done]), raw)


def letters(w: World) -> None:
    """get_as_str of any encoding, of wider characters too."""
    kind = LETTERS[w.source.byte() % len(LETTERS)]
    choice = w.source.byte()
    p = pointer(w, kind, bool(choice & 1))
    provider, entry = w.target()
    if p is None:
        return
    fits(w, kind, entry)
    options: dict[str, Any] = {"max_len": w.any_count(64)} if choice & 2 else {}
    if choice & 4:
        options["encoding"] = ENCODINGS[choice >> 3 & 15] if choice >> 3 & 15 < len(ENCODINGS) else None
    if choice & 0x80:
        options["errors"] = w.source.pick(ERRORS)
    w.wrong = w.wrong or kind.T in ("<I", ">Q") or (kind.size > 1 and "encoding" in options)
    if kind.plain and kind.T not in (ctypes.c_wchar,) and not hasattr(kind.T, "value"):
        w.wrong = True
    if w.source.byte() >= 0xF8:
        w.wrong = True
        options["encoding"] = w.source.pick(BAD_ENCODINGS)
    w.wrong = w.wrong or not is_letter(kind.T)
    got = w.call(p.get_as_str, provider, **options)
    if got is None:
        return
    if type(got) is not str:
        raise Broken(f"get_as_str gave a {type(got).__name__}")
    if w.wrong or not entry.shadow.sure or "encoding" in options or options.get("errors", "strict") != "strict":
        return
    width = sized(kind, entry)[0]
    order = "be" if (entry.model.order == "big" and kind.flips) or kind.foreign else "le"
    if kind.T is ctypes.c_wchar:
        order = "be" if entry.model.order == "big" else "le"
    wanted = got.encode({1: "utf-8", 2: f"utf-16-{order}", 4: f"utf-32-{order}"}[width]) + bytes(width)
    raw = entry.shadow.peek(p.address, len(wanted))
    if raw is not None:
        w.same("get_as_str", wanted, raw)


def is_letter(T: Any) -> bool:
    """Whether text may be made of this ctypes type."""
    return T in (ctypes.c_char, ctypes.c_wchar) or getattr(T, "_type_", "") in tuple("bBhHiI")


def cursor(w: World) -> None:
    """A reader's strings one after the other, and its twin's."""
    provider, entry = w.target()
    where = w.call(UserSlice, w.any_address(), w.any_count(4000))
    choice = w.source.byte()
    if where is None:
        return
    reader = w.call(where.reader, provider)
    if reader is None:
        return
    for _ in range(1 + (choice & 3)):
        start, left, room = reader.address, reader.remaining, entry.room(provider)
        if left > 1 << 20 and not entry.shadow.sure:
            return
        twin = reader.clone()
        got = w.call(reader.read_cstr)
        if got is None:
            w.same("a cursor that did not move", (reader.address, reader.remaining), (start, left))
            if isinstance(w.error, UserFault) and w.error.address != min(start + w.error.completed, END):
                raise Broken(f"{w.error}: at {w.error.address:#x} after {w.error.completed} from {start:#x}")
            if not isinstance(w.error, UserFault) and isinstance(w.error, LinuxError) and room is None and not w.scarce:
                raise Broken(f"read_cstr: {w.error}") if left < 1 << 20 else w.error
            return
        w.afford(room, len(got))
        moved = len(got) + (len(got) < left)
        w.same("a cursor", (reader.address, reader.remaining), (start + moved, left - moved))
        if b"\0" in got:
            raise Broken(f"a NUL in {got!r}")
        raw = entry.shadow.peek(start, moved) if entry.shadow.sure else None
        if raw is not None:
            w.same("read_cstr", (got + b"\0")[:moved], raw)
        if choice & 4:
            w.same("its twin", (twin.address, twin.remaining), (start, left))
            again = w.call(twin.read, moved)
            if again is not None and raw is not None:
                w.same("what its twin read", again, raw)


def budget(w: World) -> None:
    """Give the memory, or a provider, a budget; take it away; fill it up again."""
    provider, entry = w.target()
    choice = w.source.byte()
    if choice >= 0xF0:
        w.wrong = True
        w.call(Budget, per_call=w.source.pick([-1, "x", 1.5, b"", -(1 << 70)]))
        if entry.real:
            w.call(setattr, entry.memory, "budget", w.source.pick([5, "x", b"", object()]))
        w.wrong = False
        return
    goal = provider if choice & 1 and type(provider).__name__ == "Task" else entry.memory
    if choice & 6 == 0:
        found = None
    elif choice & 6 == 2 and getattr(goal, "budget", None) is not None:
        w.call(goal.budget.renew)
        return
    else:
        found = w.call(Budget, per_call=w.source.pick(ROOMS), per_task=w.source.pick(ROOMS))
    w.calls += 1
    goal.budget = found
    if found is not None and len(w.budgets) < 16:
        w.budgets.append(found)


def spend(w: World) -> None:
    """Strings under a budget: what is given was charged, and fits."""
    provider, entry = w.target()
    at = w.any_address()
    choice = w.source.byte()
    most = w.any_count(64) if choice & 1 else None
    if w.wrong or type(at) is not int:
        return
    held = getattr(provider, "budget", None) or getattr(entry.memory, "budget", None)
    spent, room = (held.spent, held.room) if held is not None else (0, None)
    if choice & 6 == 0:
        got = w.call(read_string_array, provider, at)
        size = None if got is None else sum(map(len, got))
    elif choice & 6 == 2:
        width = w.source.pick([1, 2, 4, 8])
        got = w.call(read_terminated, provider, at, width, most)
        size = None if got is None else len(got)
    elif choice & 6 == 4:
        p = KINDS[0].types[1](at)
        got = w.call(p.read_cstr, provider, most)
        size = None if got is None else len(got)
    else:
        n = w.count(5000)
        if n > 1 << 20 and not entry.shadow.sure:
            return
        got = w.call(KINDS[1].types[0](at).read_slice, provider, n)
        size = None if got is None else len(got)
        w.afford(room, n)
        w.expect(entry, at, n, 1, 1)
    if held is None:
        return
    if size is None and choice & 6 and held.spent != spent and "the budget allows" in str(w.error):
        raise Broken(f"a call was refused, and {held.spent - spent} bytes are charged: {w.error}")
    if size is not None:
        if choice & 6 and room is not None and size > room:
            raise Broken(f"{size} bytes given, and the budget had room for {room}")
        if choice & 6 and held.spent != min(spent + size, (1 << 64) - 1):
            raise Broken(f"{size} bytes given, and {held.spent - spent} charged")
        if choice & 6 == 0 and held.spent < spent + size:
            raise Broken(f"{size} bytes given, and {held.spent - spent} charged")


OPERATIONS: list[Callable[[World], None]] = [
    zeroed, struct_out, at_once, at_once, letters, cursor, budget, spend,
]  # fmt: skip
