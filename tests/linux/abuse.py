"""Calls in sense, a row for each that takes a pointer, and what is done to one word of them at a time.

A row makes the words of a call that works: numbers, and where a pointer goes, what it points at. `abused` then makes
that call once for each thing that can be wrong with each pointer: NULL, not mapped, the kernel's, read-only, across the
end of memory, without an end, not aligned; and with counts beyond all reason. All of it is for `caller.Script`, which
makes the same calls on the host: nothing here may reach what is not the test's.

Not here: what came of it (the test), and the calls of which this cannot be asked (`EXCEPTIONS`, with the reason).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from struct import pack
from typing import Any

from axptr.linux.calls import FAMILIES

from .caller import ARENA, AT_FDCWD, END, NOWHERE, READ_ONLY, Later, Script

KERNEL = 0xFFFF_8000_0000_0000
FAULTS = (1, NOWHERE, END, 1 << 47, KERNEL, (1 << 64) - 8)
COUNTS = (0, 1, 4096, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
NONBLOCK = 0o4000
NO_EVENT = pack("<QiiiI", 0, 0, 1, 0, 0) + bytes(40)
"""struct sigevent: SIGEV_NONE."""

EXCEPTIONS = {
    "mount": "changes the tree: test_mounting",
    "umount2": "changes the tree: test_mounting",
    "pivot_root": "changes the tree: test_mounting",
    **dict.fromkeys(FAMILIES["calls.newmounts"].split(), "changes the tree: guests/equal/newmounts.c"),
    "sethostname": "changes what the machine is called: test_mounting",
    "setdomainname": "changes what the machine is called: test_mounting",
    "clone": "makes processes on the host; its pointers: test_clone",
    "clone3": "makes processes on the host; its pointers: test_clone",
    "syslog": "reads what the host's kernel says",
    "set_tid_address": "keeps the address and looks at it at the end",
    "ustat": "knows no device here, and need not look further",
    "lsm_get_self_attr": "which modules there are is the host's own affair",
    "lsm_list_modules": "which modules there are is the host's own affair",
    "lsm_set_self_attr": "which modules there are is the host's own affair",
    "rseq": "the C library has registered one already; its pointer: test_rseq",
}
"""Calls with a pointer that have no row, and why."""
EXCEPTIONS.update(dict.fromkeys(FAMILIES["calls.refused"].split(), "is refused to everybody: test_everycall"))


class Pointer:
    """A word that points at something.

    null: whether 0 may be tried (it may mean to wait for ever). zeroes: whether memory that is all zeroes may.
    hide: what is stored differs from run to run. word: it is stored whole or not at all, so that nothing is hidden
    where a part alone has room. edges: how much of it must be there is the same everywhere.
    """

    def __init__(
        self,
        data: bytes,
        *,
        null: bool = True,
        zeroes: bool = True,
        hide: bool = False,
        edges: bool = True,
        word: bool = False,
        also: Sequence[bytes] = (),
    ) -> None:
        self.data = data
        self.null, self.zeroes, self.hide = null, zeroes, hide
        self.also, self.edges, self.word = also, edges, word

    def addresses(self, script: Script) -> Iterator[int]:
        """What it is replaced by, one after the other; the script has the bytes for it."""
        if self.null:
            yield 0
        yield from FAULTS
        if self.zeroes:
            yield READ_ONLY
        size = len(self.data)
        for kept in sorted({1, 4, 8, size // 2, size - 1, size} if self.edges else {size}):
            if 0 < kept <= size:
                yield script.edge(self.data[:kept])
        if self.zeroes:
            yield READ_ONLY + 4096 - max(1, size // 2)
        yield script.put(b"\0" + self.data) + 1
        for data in self.also:
            yield script.put(data)


class Text(Pointer):
    """A string, which may lack its end."""

    def __init__(self, text: str, **options: Any) -> None:
        super().__init__(text.encode() + b"\0", **options)

    def addresses(self, script: Script) -> Iterator[int]:
        yield from super().addresses(script)
        for text in (b"\0", b"x" * 255 + b"\0", b"x" * 256 + b"\0", b"y/" * 2047 + b"\0", b"y/" * 2048 + b"\0"):
            yield script.put(text, 1)
        yield script.edge(b"z" * 5000)
        yield script.edge(b"z" * 4096)
        yield script.edge(b"z" * 4095)


class Count(int):
    """How many, or how large."""


def out(size: int, **options: Any) -> Pointer:
    return Pointer(b"\xa5" * size, **options)


def numbers(*values: int, **options: Any) -> Pointer:
    """Words of 8 bytes."""
    return Pointer(b"".join(pack("<Q", value % (1 << 64)) for value in values), **options)


class Things:
    """Open files and other things that rows need, made when first asked for."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def _two(self, at: int) -> tuple[int, int]:
        return at, at + 4

    def open(self, path: str, flags: int = 0, mode: int = 0o644) -> Later:
        return self.script.call("openat", AT_FDCWD, self.script.text(path), flags, mode)

    @cached_property
    def file(self) -> Later:
        return self.open("file", 2)

    @cached_property
    def other(self) -> Later:
        return self.open("other", 2)

    @cached_property
    def directory(self) -> Later:
        return self.open("many", 0o200000)

    @cached_property
    def epoll(self) -> Later:
        """With an event that is there."""
        made = self.script.call("epoll_create1", 0)
        self.script.call("epoll_ctl", made, 1, self.event, self.script.put(pack("<IQ", 4, 77)))
        return made

    @cached_property
    def event(self) -> Later:
        return self.script.call("eventfd2", 5, NONBLOCK)

    @cached_property
    def timer(self) -> Later:
        return self.script.call("timerfd_create", 1, NONBLOCK)

    @cached_property
    def inotify(self) -> Later:
        return self.script.call("inotify_init1", NONBLOCK)

    @cached_property
    def pair(self) -> tuple[int, int]:
        """Descriptors, by their numbers: of a machine that has opened nothing else."""
        self.script.call("socketpair", 1, 1 | NONBLOCK, 0, self.script.room(8))
        return 3, 4

    @cached_property
    def datagrams(self) -> tuple[int, int]:
        self.script.call("socketpair", 1, 2 | NONBLOCK, 0, self.script.room(8))
        for _ in range(100):
            self.script.call("sendto", 4, self.script.text("words"), 5, 0x40, 0, 0)
        return 3, 4

    @cached_property
    def pipe(self) -> tuple[int, int]:
        self.script.call("pipe2", self.script.room(8), NONBLOCK)
        self.script.call("write", 4, self.script.put(b"p" * 3000), 3000)
        return 3, 4

    @cached_property
    def unix(self) -> Later:
        return self.script.call("socket", 1, 1 | NONBLOCK, 0)

    @cached_property
    def udp(self) -> Later:
        return self.script.call("socket", 2, 2 | NONBLOCK, 0)

    @cached_property
    def listener(self) -> Later:
        """With some who wait to be accepted."""
        made = self.script.call("socket", 1, 1 | NONBLOCK, 0)
        address = self.script.put(pack("<H", 1) + b"listener\0")
        self.script.call("bind", made, address, 11)
        self.script.call("listen", made, 100)
        for _ in range(60):
            one = self.script.call("socket", 1, 1 | NONBLOCK, 0)
            self.script.call("connect", one, address, 11)
        return made

    @cached_property
    def semaphores(self) -> Later:
        return self.script.call("semget", 0, 3, 0o1600)

    @cached_property
    def messages(self) -> Later:
        made = self.script.call("msgget", 0, 0o1600)
        for _ in range(20):
            self.script.call("msgsnd", made, self.script.put(pack("<q", 1) + b"m" * 16), 16, NONBLOCK)
        return made

    @cached_property
    def segment(self) -> Later:
        return self.script.call("shmget", 0, 4096, 0o1600)

    @cached_property
    def posix_timer(self) -> int:
        """The first there is."""
        self.script.call("timer_create", 1, self.script.put(NO_EVENT), self.script.room(4))
        return 0

    @cached_property
    def queue(self) -> Later:
        """Non-blocking, with some messages, and without a name: that belongs to the whole host."""
        name = self.script.text(f"axptr-test-{os.getpid()}")
        made = self.script.call("mq_open", name, 0o4102, 0o600, self.script.put(pack("<8q", 0, 8, 16, 0, 0, 0, 0, 0)))
        self.script.call("mq_unlink", name)
        for _ in range(4):
            self.script.call("mq_timedsend", made, self.script.put(b"message"), 7, 3, 0)
        return made

    def close(self) -> None:
        """Remove what would stay on the host."""
        for name, remove in (("semaphores", "semctl"), ("messages", "msgctl"), ("segment", "shmctl")):
            if name in vars(self):
                self.script.call(remove, vars(self)[name], 0, 0)  # IPC_RMID, also as the third word

    def room(self, size: int = 64) -> int:
        return self.script.room(size)

    def vector(self, **options: Any) -> Pointer:
        """struct iovecs, and some of whose places are none."""
        good = pack("<QQQQ", self.room(), 10, self.room(), 20)
        bad = [pack("<QQQQ", self.room(), 10, at, 20) for at in (0, *FAULTS, READ_ONLY)]
        bad += [pack("<QQQQ", END - 5, 10, self.room(), 20)]
        bad += [pack("<QQQQ", self.room(), 10, self.room(), size) for size in COUNTS[5:]]
        return Pointer(good, also=bad, **options)

    def header(self, name: int = 0, size: int = 0) -> Pointer:
        """struct msghdr, and such whose pointers are none."""

        def one(name: int = name, size: int = size, vector: int = 0, count: int = 1, control: int = 0, room: int = 0):
            return pack("<QIIQQQQQ", name, size, 0, vector or good, count, control, room, 0)

        good = self.script.put(pack("<QQ", self.script.put(b"hello" * 4), 5))
        bad = [one(vector=at) for at in (*FAULTS, END - 8)]
        bad += [one(name=at, size=16) for at in (*FAULTS, END - 8)]
        bad += [one(control=at, room=64) for at in (*FAULTS, END - 8)]
        bad += [one(count=count) for count in (0, 1024, 1025, 1 << 31, 1 << 40, (1 << 64) - 1)]
        bad += [one(control=self.room(), room=size) for size in (1, 15, 1 << 31, 1 << 40, (1 << 64) - 1)]
        bad += [one(name=self.room(), size=size) for size in (1, 128, 129, 1 << 31, (1 << 32) - 1)]
        bad += [one(vector=self.script.put(pack("<QQ", at, 5))) for at in (0, *FAULTS)]
        return Pointer(one(), also=bad)


Row = Callable[[Things], list[Any]]


def abused(script: Script, name: str, row: Row, faults: bool = False) -> None:
    """All calls of a row: as it is, and once for each abuse of each word.

    faults: only the abuses with which the call cannot go well.
    """
    things = Things(script)
    words = row(things)
    if not faults:
        _make(script, name, words, {})
    for index, word in enumerate(words):
        if isinstance(word, Pointer):
            for address in _faulting(script, word) if faults else word.addresses(script):
                _make(script, name, words, {index: address}, faults=faults)
        elif isinstance(word, Count) and not faults:
            for count in COUNTS:
                _make(script, name, words, {index: count}, edge=True)
    things.close()


def _faulting(script: Script, pointer: Pointer) -> Iterator[int]:
    yield from FAULTS
    yield script.edge(pointer.data[:-1])


def _make(
    script: Script, name: str, words: list[Any], changed: dict[int, int], edge: bool = False, faults: bool = False
) -> None:
    """changed: what words are replaced by. edge: what is pointed at ends where memory does."""
    hidden, given, at = [], [], END
    for index, word in enumerate(words):
        address = changed.get(index)
        if isinstance(word, Pointer):
            size = len(word.data)
            if address is None and edge:
                at -= size
                address = at
                script.poke(address, word.data)
            elif address is None:
                address = script.put(word.data)
            if word.hide and ARENA <= address < END and not (word.word and address + size > END):
                hidden.append((address, min(size, END - address)))
            word = address
        elif address is not None:
            word = address
        given.append(word)
    script.call(name, *given, hide=hidden, faults=faults)
