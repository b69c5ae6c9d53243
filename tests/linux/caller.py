"""Tables of system calls, made by one program on the host and here: results and every byte changed are compared.

    script = Script()
    buffer = script.room(144)
    fd = script.call("openat", AT_FDCWD, script.text("words"), os.O_RDONLY)
    script.call("fstat", fd, buffer, hide=[(buffer + 8, 8)])  # not the inode's number
    assert answers(script)[1].result == 0

The host is right: a test says beside that what it is about, so that both cannot agree on nothing. The host makes these
calls too, as whoever runs the tests: a name outside the directory may be looked at and no more, and what reaches other
processes or the whole machine is refused (`_harmless`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from axptr.linux.abi.numbers import NUMBERS

from .conftest import run_guest, run_host

ARENA, SIZE = 0x5000_0000, 0x4_0000  # as in guests/caller.c
END = ARENA + SIZE
"""Where memory ends: nothing is mapped from here on."""
READ_ONLY = 0x6000_0000
NOWHERE = 0x3000_0000_0000
BAD = (NOWHERE, END, 1, 1 << 47, (1 << 64) - 8)
"""Addresses that no call can use, of each kind that there is."""
_KERNEL = (0xFFFF_8000_0000_0000,)
AT_FDCWD = -100
EDGES = (0, 1, -1, 2, 7, 255, 4095, 4096, 4097, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LOOKS = _names("""stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat statfs getxattr lgetxattr
    listxattr llistxattr chdir openat""")
"""May be given a name that leads out of the directory; openat to read alone, or a device that keeps nothing."""
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")
_SELF = _names("kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo sched_setaffinity prlimit64")
"""Their first word is a process: 0, or what getpid gave, or none that there can be."""
_NEVER = _names("""reboot mount umount2 pivot_root chroot swapon swapoff sethostname setdomainname settimeofday
    clock_settime adjtimex clock_adjtime init_module finit_module delete_module kexec_load kexec_file_load ptrace
    process_vm_writev setns unshare acct quotactl ioperm iopl vhangup syslog bpf setpgid setpriority sync execve
    execveat fork vfork clone clone3 exit exit_group""")


class Later(NamedTuple):
    """What the call of this number will have given."""

    index: int


class Answer(NamedTuple):
    """What a call gave; `data` is what it changed, as the program prints it."""

    call: str
    result: int
    data: str

    @property
    def error(self) -> str:
        """`ENOENT`; empty where it went well."""
        return errno.errorcode.get(-self.result, "") if self.result < 0 else ""


class Script:
    """A list of calls, and the memory that they find."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._free = ARENA
        self._texts: dict[str | bytes, int] = {}
        self.calls: list[str] = []

    def put(self, data: bytes, align: int = 8) -> int:
        """Bytes that stand there for the calls that follow; their address."""
        at = -(-self._free // align) * align
        self._free = at + len(data)
        assert self._free <= END - 4096, "the arena is full"
        self._lines.append(f"u {self._free:x}")
        self.poke(at, data)
        return at

    def poke(self, at: int, data: bytes) -> None:
        if data:
            self._lines.append(f"p {at:x} {data.hex()}")

    def room(self, size: int, fill: int = 0xA5) -> int:
        """Room for what a call stores: every byte it does not store shows."""
        return self.put(bytes([fill]) * size, 16)

    def edge(self, data: bytes) -> int:
        """Bytes that end where memory does."""
        self.poke(END - len(data), data)
        return END - len(data)

    def text(self, text: str | bytes) -> int:
        if text not in self._texts:
            self._texts[text] = self.put(os.fsencode(text) + b"\0", 1)
        return self._texts[text]

    def _harmless(self, name: str, words: tuple[int | Later, ...], faults: bool) -> None:
        """AssertionError for a call that would change something of the host's that is not the test's.

        faults: one of the words is an address that cannot be used, which is all that comes of the call.
        """
        if faults:
            assert any(
                word in BAD or word in _KERNEL or (isinstance(word, int) and END - 4096 < word < END) for word in words
            )
            return
        own = name == "process_vm_writev" and isinstance(words[0], Later)
        assert name not in _NEVER or own, name
        if name in _SELF:
            assert isinstance(words[0], Later) or words[0] == 0 or words[0] >= 1 << 30, (name, words)
        for text, at in self._texts.items():
            path = os.fsdecode(text)
            if at in words and (path.startswith("/") or ".." in path.split("/")):
                inside = os.path.normpath("a/b/c/" + path).startswith("a/b") and not path.startswith("/")
                looks = name in _LOOKS and (name != "openat" or words[2] in (0, os.O_PATH) or path in _DEVICES)
                assert inside or looks, f"{name} of {path}"

    def call(self, name: str, *words: int | Later, hide: Iterable[tuple[int, int]] = (), faults: bool = False) -> Later:
        """hide: (address, size) of bytes that may differ. faults: see `_harmless`."""
        self._harmless(name, words, faults)
        self._lines += [f"h {at:x} {size:x}" for at, size in hide]
        shown = [f"r{w.index:x}" if isinstance(w, Later) else f"{w % (1 << 64):x}" for w in words]
        self._lines.append(f"c {NUMBERS['x86_64'][name]:x} {' '.join([*shown, *['0'] * (6 - len(words))])}")
        self.calls.append(f"{name}({', '.join(shown)})")
        return Later(len(self.calls) - 1)

    def save(self, path: Path) -> Path:
        path.write_text("\n".join(self._lines) + "\n")
        return path

    def answers(self, lines: list[str]) -> list[Answer]:
        parts = (line.partition(" ") for line in lines)
        return [Answer(call, int(result), data) for call, (result, _, data) in zip(self.calls, parts, strict=False)]


class Caller:
    """Runs scripts on both sides, each side in a directory of its own that `prepare` has filled."""

    def __init__(self, program: Path, tmp_path: Path) -> None:
        self._program = program
        self._tmp_path = tmp_path
        self._runs = 0

    def __call__(
        self,
        script: Script,
        prepare: Callable[[Path], object] | None = None,
        same: Callable[[Answer], bool] = bool,
        lacks: tuple[list[object], str] | None = None,
    ) -> list[Answer]:
        """What the host gave, which is what ours gave; but for calls of which `same` says that they may differ.

        lacks: what each call is about, and the error by which a kernel says that it does not know of that: where the
        host says so whatever is asked, ours may know more."""
        self._runs += 1
        written = script.save(self._tmp_path / f"script{self._runs}")
        sides = []
        for side in ("host", "ours"):
            root = self._tmp_path / f"run{self._runs}" / side / "in" / "here"
            root.mkdir(parents=True)
            if prepare is not None:
                prepare(root)
            if side == "host":
                sides.append(run_host(self._program, written, cwd=root))
            else:
                sides.append(run_guest(self._program, written, cwd=root, allow_write=[self._tmp_path]))
        host, ours = (script.answers(side.lines) for side in sides)
        assert sides[0].status == sides[1].status == 0, sides
        assert len(host) == len(script.calls)
        of, error = lacks or ([None] * len(host), "")
        known = {about for about, answer in zip(of, host, strict=True) if answer.error != error}
        different = [
            (wanted, got)
            for wanted, got, about in zip(host, ours, of, strict=True)
            if wanted != got and about in known and same(wanted)
        ]
        if different:
            told = [
                f"{wanted.call}\n    host {wanted.result} {wanted.error} {wanted.data}\n"
                f"    ours {got.result} {got.error} {got.data}"
                for wanted, got in different[:40]
            ]
            pytest.fail("\n".join([*told, f"{len(different)} of {len(host)} calls differ"]), pytrace=False)
        return host
