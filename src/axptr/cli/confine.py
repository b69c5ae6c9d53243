"""`--confine`: before the program runs, axptr's own process gives up the right to change files of the host but where
the program may, and to make TCP connections where it has no network. Source: landlock(7), landlock_restrict_self(2).

What a hole in a handler would give is then no more than that. Reading is not restricted: the program reads what the
host shows it. It cannot be taken back, and holds for all threads that are made from then on and for the processes that
guests run in.
"""

from __future__ import annotations

import ctypes
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import SimpleNamespace

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH, _NO_NEW_PRIVS = 1, 1, 38
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_CHANGES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))  # remove and make, of every kind
_REFER = 1 << 13
_OF_FILES = _WRITE_FILE | _TRUNCATE
_TCP = 0b11  # bind, connect


def confine(writable: Iterable[bytes], *, network: bool) -> str | None:
    """Keep this process to changing files beneath `writable`, and in /dev. network: whether it may reach the network.
    Why it could not be done, None if it was."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    abi = syscall(_CREATE_RULESET, None, 0, _VERSION)
    if abi < 1:
        return f"the host has no Landlock: {os.strerror(ctypes.get_errno())}"
    handled = _CHANGES | (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0)
    attributes = struct.pack("<QQ", handled, _TCP if abi >= 4 and not network else 0)[: 16 if abi >= 4 else 8]
    rules = syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return f"Landlock: {os.strerror(ctypes.get_errno())}"
    try:
        for path in (b"/dev", *writable):
            if (failed := _allow(syscall, rules, path, handled)) is not None:
                return failed
        if ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) or syscall(_RESTRICT_SELF, rules, 0):
            return f"Landlock: {os.strerror(ctypes.get_errno())}"
    finally:
        os.close(rules)
    return None


def places(options: SimpleNamespace) -> list[bytes]:
    """Where a run may change files of the host: what the program may, and where what was asked for is written."""
    found = [*options.allow_write]
    if options.overlay_commit:
        found.append(options.root or "/")
    for mount in options.mount:
        from .tree import parse_mount

        source, _, readonly = parse_mount(mount)
        if not readonly:
            found.append(source)
    for file in (options.map, options.core, options.overlay_save, options.learn):
        if file is not None:
            found.append(os.path.dirname(file) or ".")
    return [os.fsencode(path) for path in found]


def _allow(syscall: Callable[..., int], rules: int, path: bytes, handled: int) -> str | None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        return f"{os.fsdecode(path)}: {error.strerror}"
    try:
        rights = handled if os.path.isdir(path) else handled & _OF_FILES
        if syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("<Qi", rights, fd), 0):
            return f"Landlock: {os.fsdecode(path)}: {os.strerror(ctypes.get_errno())}"
    finally:
        os.close(fd)
    return None
