"""The calls that are more than one pointer's: transfers, strings, atomics, searches, the checks, memory itself."""

from __future__ import annotations

import ctypes
import errno
import re
from collections.abc import Callable
from typing import Any

from axptr import (
    Layout,
    LinuxError,
    MappingFlags,
    UserAtomic,
    UserConstPtr,
    VirtAddrRange,
    access_user_memory,
    check_null_terminated,
    check_region,
    check_region_with,
    clear,
    copy_between,
    copy_struct,
    is_accessing_user_memory,
    read_string_array,
    read_terminated,
    read_text,
    search,
    search_regex,
    search_value,
)

from .judge import POISON, Broken, Entry
from .kinds import KINDS, NO_TYPES, WORDS
from .readers import begin, go_on_with
from .shadow import END
from .single import chosen, fits, known, sized, told, value_for
from .world import World, raw_of

ENCODINGS = (
    "utf-8",
    "utf-16-le",
    "utf-16",
    "utf-32-be",
    "latin-1",
    "ascii",
    "utf-7",
    "punycode",
    "idna",
    "cp037",
    "utf-8-sig",
    "shift_jis",
)
BAD_ENCODINGS = ("nope", "rot13", "base64", 5, None, "undefined")
ERRORS = ("strict", "replace", "ignore", "backslashreplace", "surrogateescape")
EXPRESSIONS = [
    re.compile(e, re.DOTALL) for e in (rb"axptr", rb".", rb"(a)|(p)", rb"[^\0]{4,64}", rb"^", rb"wide\0|#+", rb"$")
]


def between(w: World) -> None:
    source, first = w.target()
    a = w.any_address()
    goal, second = w.target()
    b = w.any_address()
    n = w.any_count(200)
    if type(n) is int and n > 1 << 20 and not w.wrong:
        n = n if first.shadow.sure and second.shadow.sure else 1 << 16  # a large area would take for ever
    done = w.call(copy_between, source, a, goal, b, n)
    if done is None or w.wrong or not (first.shadow.sure and second.shadow.sure):
        if done:
            second.shadow.sure = False
        return
    bad, solid = first.shadow.first_bad(a, n, 1)
    most = n if bad is None else bad - a
    bad, also = second.shadow.first_bad(b, most, 2)
    most = most if bad is None else min(most, bad - b)
    if done > most or (solid and also and done < most and not w.scarce):
        raise Broken(f"{int(done)} of {n} bytes copied between, want {most}")
    raw = first.shadow.peek(a, done)
    if (first is second and abs(a - b) < done) or raw is None:
        w.wrote(second, b, done)
    else:
        w.wrote(second, b, done, raw)


def clear_some(w: World) -> None:
    provider, entry = w.target()
    at, n = w.any_address(), w.any_count(200)
    if type(n) is int and n > 1 << 20 and not entry.shadow.sure:
        n = 1 << 16
    done = w.call(clear, provider, at, n)
    if done is None or w.wrong:
        return
    w.partial(entry, int(at), int(n), 2, done)
    if entry.shadow.sure:
        w.wrote(entry, int(at), int(done), bytes(done))


def struct(w: World) -> None:
    provider, entry = w.target()
    kind = chosen(w)
    fits(w, kind, entry)
    if kind.address:
        w.wrong = True
    at, size = w.any_address(), w.any_count(80)
    options = {}
    if w.source.byte() & 1:
        options = {"min_size": w.any_count(8), "max_size": w.any_count(200)}
    got = w.call(copy_struct, provider, at, kind.T, size, **options)
    if got is None:
        return
    if kind.plain and entry.native and type(got) is not kind.T:
        raise Broken(f"copy_struct gave a {type(got).__name__}")
    if w.wrong or not entry.shadow.sure or kind.value is None or not known(kind, entry):
        return
    size, whole = int(size), sized(kind, entry)[0]
    raw = entry.shadow.peek(int(at), min(size, whole))
    rest = entry.shadow.peek(int(at) + whole, size - whole) if size > whole else b""
    if rest is not None and any(rest):
        raise Broken(f"copy_struct took {rest.hex()} at the end for zeros")
    if raw is not None:
        wanted = kind.value(told(kind, entry, raw.ljust(whole, b"\0")))
        w.same("copy_struct", raw_of(got.value if isinstance(got, ctypes._SimpleCData) else got), wanted)


def strings(w: World) -> None:
    provider, entry = w.target()
    at = w.any_address()
    choice = w.source.byte()
    most = w.any_count(64) if choice & 4 else None
    if choice % 3 == 0:
        width: Any = w.source.pick([1, 2, 4, 8, 1, 2, 4, 3, 0, 1 << 64, -1])
        if width not in (1, 2, 4, 8):
            w.wrong = True
        got = w.call(read_terminated, provider, at, width, most)
        if got is None or w.wrong or not entry.shadow.sure:
            return
        raw = entry.shadow.peek(int(at), len(got) + width)
        if raw is not None:
            w.same("read_terminated", got + bytes(width), raw)
    elif choice % 3 == 1:
        encoding: Any = ENCODINGS[choice >> 3 & 15] if choice >> 3 & 15 < len(ENCODINGS) else "nope"
        errors: Any = w.source.pick(ERRORS)
        if encoding == "nope":
            w.wrong = True
            encoding, errors = w.source.pick(BAD_ENCODINGS), w.source.pick(["strict", "nope", 5])
        w.call(read_text, provider, at, encoding, errors, max_len=most)
    else:
        options: dict[str, Any] = {}
        if choice & 8:
            options["max_len"] = w.any_count(64)
        if choice & 16:
            options["max_total"] = w.any_count(200)
        if choice & 32:
            options["name"] = w.source.pick(["argv", "envp", "", "\x00", "\u00e9" * 5000])
            w.source.byte()  # kept inputs have one
        got = w.call(read_string_array, provider, at, **options)
        if got is not None and not all(type(text) is bytes and b"\0" not in text for text in got):
            raise Broken(f"read_string_array gave {got!r}")


# -- atomics and searches ---------------------------------------------------------------------------------------


def atomic(w: World) -> None:
    provider, entry = w.target()
    kind = WORDS[w.source.byte() % len(WORDS)]
    at = w.any_address()
    choice = w.source.byte()
    T: Any = kind.T
    if choice >= 0xF8:
        w.wrong = True
        T = w.source.pick([*NO_TYPES, *(k.T for k in KINDS if not k.word)])
    word = w.call(UserAtomic, at, T)
    if word is None:
        return
    value, _ = value_for(w, kind, entry)
    name = choice % 5
    start, size = word.address, sized(kind, entry)[0]
    valued = kind.value is not None and known(kind, entry)
    if name == 0:
        got = w.call(word.load, provider)
        if w.expect(entry, start, size, size, 1) and w.error is None and valued:
            before = entry.shadow.peek(start, size)
            if before is not None:
                w.same("load", got, kind.value(told(kind, entry, before)))
        return
    before = entry.shadow.peek(start, size)
    if before is not None:
        before = told(kind, entry, before)
    if name == 1:
        got = w.call(word.store, provider, value)
    elif name == 2:
        got = w.call(word.exchange, provider, value)
    elif name == 3:
        expected = value if before is None or choice & 8 or not valued else kind.value(before)
        got = w.call(word.compare_exchange, provider, expected, value)
    else:
        got = w.call(word.fetch_add, provider, value)
    went = w.expect(entry, start, size, size, 2 if name == 1 else 3)
    if w.error is None:
        if went and name != 1 and before is not None and valued:
            w.same("the word before", got, kind.value(before))
        w.wrote(entry, start, size)


def find(w: World) -> None:
    provider, entry = w.target()
    choice = w.source.byte()
    start: Any = w.any_address() if choice & 1 else 0
    size: Any = w.any_count(4000) if choice & 2 else None
    if not entry.real:
        w.wrong = True
    options: dict[str, Any] = {"access": w.flags()} if choice & 4 else {}
    if choice & 8:
        options["align"] = w.source.pick([1, 2, 4, 8, 4096, 1 << 63, 1, 3, 0, -1])
        if options["align"] in (3, 0, -1):
            w.wrong = True
    if choice >> 4 & 3 == 0:
        options.pop("align", None)
        pattern: Any = EXPRESSIONS[w.source.byte() % len(EXPRESSIONS)]
        options["max_match"] = 1 + w.source.byte() * 20
        made = w.call(search_regex, provider, pattern, start, size, **options)
    elif choice >> 4 & 3 == 1:
        kind = chosen(w)
        value, _ = value_for(w, kind, entry)
        fits(w, kind, entry)
        if choice & 0x40:
            options["mask"] = w.source.pick([0xFF, 0, 0x0F, 0xFFFF_FFFF, -1, 1 << 70])
            w.wrong = True
        made = w.call(search_value, provider, kind.T, value, start, size, **options)
    else:
        pattern = w.source.pick(
            [
                b"axptr",
                b"\0",
                b"a",
                b"page",
                b"crosses a page!",
                bytes(4000),
                b"\xff" * 8,
                b"",
                "x",
                memoryview(b"abab"),
            ]
        )
        if pattern in (b"", "x"):
            w.wrong = True
        made = w.call(search, provider, pattern, start, size, **options)
        if made is not None and not w.wrong and isinstance(pattern, bytes):
            found_bytes(w, entry, made, pattern, choice >> 6)
            return
    for _ in range(2 + (choice >> 6) * 3):
        if made is None:
            return
        found = w.call(next, made, also=(StopIteration,))
        if w.error is not None:
            return
        if hasattr(found, "data") and POISON in found.data:
            raise Broken("a search found bytes of a freed frame")
    if made is not None and not w.wrong and len(w.walks) < 4:
        w.walks.append(made)


def found_bytes(w: World, entry: Entry, made: Any, pattern: bytes, more: int) -> None:
    for _ in range(2 + more * 3):
        at = w.call(next, made, also=(StopIteration,))
        if w.error is not None:
            return
        raw = entry.shadow.peek(at, len(pattern)) if entry.shadow.sure else None
        if raw is not None:
            w.same("what a search found", raw, pattern)


# -- the checks, and memory as its owner uses it ----------------------------------------------------------------


def check(w: World) -> None:
    provider, entry = w.target()
    memory = entry.memory
    at = w.any_address()
    choice = w.source.byte()
    access = MappingFlags(choice & 7) if choice < 0xF0 else MappingFlags((63, 9, 0, 31)[choice & 3])
    size = w.any_count(5000)
    align = 1 << (choice >> 3 & 7)
    layout = w.call(Layout, size, align)
    if layout is None:
        return
    w.wrong = w.wrong or type(at) is not int  # these take no pointers
    simple = access in (1, 2, 3)  # of others the model knows nothing
    if choice >> 6 == 0:
        w.call(check_region, memory, at, layout, access)
    elif choice >> 6 == 1:
        w.call(check_region_with, provider, at, layout, access)
    elif choice >> 6 == 2:
        kind = chosen(w)
        fits(w, kind, entry)
        width = sized(kind, entry)[0]
        most = w.any_count(64) if choice & 8 else None
        got = w.call(check_null_terminated, memory, at, kind.T, access, most)
        if got is not None and not w.wrong and entry.shadow.sure and width < 64:
            raw = entry.shadow.peek(got[0], (got[1] + 1) * width)
            if raw is not None and any(raw[-width:]):
                raise Broken(f"{got} ends with {raw[-width:].hex()}")
        return
    else:
        if w.wrong or type(at) is not int or type(size) is not int or at + size > END:
            return
        got = w.call(memory.check_region_access, VirtAddrRange(at, at + size), access)
        if entry.real and entry.shadow.sure and simple:
            w.same("check_region_access", got, entry.shadow.first_bad(at, size, access)[0] is None)
        return
    if simple:
        if w.wrong or (not entry.real and w.error is not None):
            return
        w.expect(entry, int(at), int(size), align, access)


def memory_call(w: World) -> None:
    """The `UserMemory` methods, and a debugger's copies, of a space."""
    entry = w.entry()
    memory: Any = entry.memory
    if not entry.real:
        return
    at = w.any_address()
    choice = w.source.byte()
    n = w.any_count(5000)
    name = choice % 7
    if type(n) is int and n > 1 << 20 and not entry.shadow.sure:
        n = 1 << 16
    if name == 0:
        got = w.call(memory.read, at, n)
        raw = entry.shadow.peek(int(at), len(got)) if got is not None and entry.shadow.sure else None
        if raw is not None:
            w.same("space.read", got, raw)
    elif name == 1:
        data = w.data()
        w.call(memory.write, at, data)
        if w.error is None:
            w.wrote(entry, int(at), len(data), data)
        elif not w.wrong:
            w.spoiled(entry, int(at), len(data))
    elif name == 2:
        buffer = bytearray(len(w.data()))
        done = w.call(memory.read_into, at, buffer)
        raw = entry.shadow.peek(int(at), done) if done and entry.shadow.sure else None
        if raw is not None:
            w.same("read_into", bytes(buffer[:done]), raw)
    elif name == 3:
        data = w.data()
        done = w.call(memory.write_from, at, data)
        if done:
            w.wrote(entry, int(at), done, data[:done])
    elif name == 4:
        w.call(memory.populate_area, at, n, w.flags())
    elif name == 5:
        access = w.flags()
        user = bool(choice & 8)
        if user:
            w.wrong = w.wrong or not access
            w.call(memory.handle_page_fault, at, access)
        else:
            with access_user_memory():
                w.wrong = w.wrong or not access
                w.call(memory.handle_page_fault, at, access, user=False)
            if is_accessing_user_memory():
                raise Broken("the mark of user memory is still set")
    elif not w.wrong:
        w.call(lambda: (memory.find_area(int(at)), memory.neighbours(int(at)), memory.query(int(at))))
        fault = w.call(memory.fault, int(at), w.flags())
        if fault is not None and fault.address != int(at):
            raise Broken(f"the fault of {int(at):#x} is {fault!r}")


def through(w: World) -> None:
    """Calls inside `with_addr_space`: the lock of a provider is held, and other verbs go through it again."""
    provider, _ = w.target()
    at = w.address()

    def work(memory: Any) -> Any:
        p = UserConstPtr.of("<I")(at)
        check_region(memory, at, Layout(4, 1), MappingFlags.READ)
        return p.read_unaligned(provider)

    if w.wrong:
        return
    w.call(provider.with_addr_space, work)
    if w.error is not None and not isinstance(w.error, LinuxError):
        raise Broken(f"{w.error!r}")
    if isinstance(w.error, LinuxError) and w.error.errno not in (errno.EFAULT, errno.ENOMEM):
        raise Broken(f"a read fails with {w.error}")


OPERATIONS: list[Callable[[World], None]] = [
    between, clear_some, struct, strings, strings, begin, begin, go_on_with, go_on_with, atomic, atomic, find, check,
    check, memory_call, memory_call, through,
]  # fmt: skip
