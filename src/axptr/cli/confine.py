"""What axptr's own process gives up before it so much as opens a program: changing files of the host but where the
program may, executing any, TCP connections where it has no network, signals to other processes. What a hole in a
handler would give is then no more than that. Source: landlock(7), landlock_restrict_self(2), seccomp(2).

A run does so by itself where the host has Landlock; `--confine` insists, `--no-confine` has none of it. Reading is not
restricted: the program reads what the host shows it. It cannot be taken back, and holds for all threads that are made
from then on and for the processes that guests run in.

Where no such process is made (the engine unicorn), calls that neither the engine nor any handler makes are refused too
(`forgo`). Natively that cannot be: a guest's process would inherit the filter, and what it refuses comes before
the notification by which a guest's call gets to its handler.
"""

from __future__ import annotations

import os
import struct
import sys

from .._core.host.hostcalls import landlock_allow, landlock_restrict, landlock_ruleset, landlock_version, prctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import SimpleNamespace

_NO_NEW_PRIVS = 38
_RUN_FILE, _WRITE_FILE, _TRUNCATE = 1, 1 << 1, 1 << 14
_CHANGES = _RUN_FILE | _WRITE_FILE | sum(1 << bit for bit in range(4, 13))  # remove and make, of every kind
_REFER = 1 << 13
_OF_FILES = _WRITE_FILE | _TRUNCATE
_TCP = 0b11  # bind, connect
_OTHERS = 0b11  # abstract sockets of other processes, signals to them
_DEVICES = (b"/dev/null", b"/dev/zero", b"/dev/full", b"/dev/random", b"/dev/urandom", b"/dev/tty", b"/dev/ptmx")
_TERMINALS = b"/dev/pts"

_SET_SECCOMP, _FILTER = 22, 2
_X86_64, _X32 = 0xC000_003E, 0x4000_0000
_LOAD, _EQUAL, _NOT_LESS, _RETURN = 0x20, 0x15, 0x35, 0x06
_EPERM = 0x0005_0001
_ALLOW = 0x7FFF_0000
FORGONE = (
    "acct add_key adjtimex bpf chroot clock_adjtime clock_settime delete_module execve execveat fanotify_init "
    "finit_module fsconfig fsmount fsopen fspick init_module io_uring_enter io_uring_register io_uring_setup ioperm "
    "iopl kcmp kexec_file_load kexec_load keyctl migrate_pages modify_ldt mount mount_setattr move_mount move_pages "
    "open_by_handle_at open_tree perf_event_open personality pidfd_getfd pivot_root process_vm_readv process_vm_writev "
    "ptrace quotactl quotactl_fd reboot request_key setdomainname setgid setgroups sethostname setns setregid "
    "setresgid setresuid setreuid settimeofday setuid swapoff swapon syslog umount2 unshare userfaultfd vhangup"
)
"""What no part of axptr ever calls in a run."""


def confine(writable: Iterable[bytes], *, network: bool) -> str | None:
    """Keep this process to changing files beneath `writable`, its standard streams and harmless devices. network:
    whether it may reach the network. Why it could not be done, None if it was."""
    if len(os.listdir("/proc/self/task")) > 1:  # it would hold for this thread alone
        return "this process has other threads"
    try:
        abi = landlock_version()
    except OSError as error:
        return f"the host has no Landlock: {error.strerror}"
    handled = _CHANGES | (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0)
    attributes = struct.pack("<QQQ", handled, _TCP if abi >= 4 and not network else 0, _OTHERS if abi >= 6 else 0)
    try:
        rules = landlock_ruleset(attributes[: 24 if abi >= 6 else 16 if abi >= 4 else 8])
    except OSError as error:
        return f"Landlock: {error.strerror}"
    try:
        streams = [b"/proc/self/fd/%d" % fd for fd in range(3)]
        for path in (*_DEVICES, _TERMINALS, *streams):
            _allow(rules, path, handled & ~_RUN_FILE)  # one that there is not is not needed
        for path in (*writable, *_bytecode()):
            if (failed := _allow(rules, path, handled & ~_RUN_FILE)) is not None:
                return failed
        prctl(_NO_NEW_PRIVS, 1)
        landlock_restrict(rules)
    except OSError as error:
        return f"Landlock: {error.strerror}"
    finally:
        os.close(rules)
    return None


def forgo() -> str | None:
    """Have the calls of `FORGONE` refused to this process, with EPERM, from now on. Why not, None if it was done."""
    import ctypes  # not at every start

    from ..linux.abi.numbers import NUMBERS

    numbers = sorted(NUMBERS["x86_64"][name] for name in FORGONE.split() if name in NUMBERS["x86_64"])
    count = len(numbers)
    # of another architecture (int 0x80), or of x32: refused, as none of ours is
    code = [(_LOAD, 0, 0, 4), (_EQUAL, 0, count + 3, _X86_64), (_LOAD, 0, 0, 0), (_NOT_LESS, count + 1, 0, _X32)]
    code += [(_EQUAL, count - i, 0, number) for i, number in enumerate(numbers)]
    code += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _EPERM)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *one) for one in code))
    header = struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(program))
    library = ctypes.CDLL(None, use_errno=True)
    address = ctypes.c_char_p(header)
    if library.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) or library.prctl(_SET_SECCOMP, _FILTER, address, 0, 0):
        return f"seccomp: {os.strerror(ctypes.get_errno())}"
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


def _bytecode() -> list[bytes]:
    """Where Python is to write the bytecode of our own modules: nowhere, if it is there, as after an installation. In
    a checkout, where it gets old, a run would have to be slow for ever."""
    if sys.dont_write_bytecode:
        return []
    package = os.path.dirname(os.path.dirname(__file__))
    kept = sys.pycache_prefix
    if kept is None:
        checkout = os.path.exists(os.path.join(package, "..", "..", "setup.py"))
        places = [package] if checkout or not os.path.isdir(os.path.join(package, "__pycache__")) else []
    else:
        places = [kept]
    return [os.fsencode(place) for place in places if os.access(place, os.W_OK)]


def _allow(rules: int, path: bytes, handled: int) -> str | None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        return f"{os.fsdecode(path)}: {error.strerror}"
    try:
        landlock_allow(rules, handled if os.path.isdir(path) else handled & _OF_FILES, fd)
    except OSError as error:
        return f"Landlock: {os.fsdecode(path)}: {error.strerror}"
    finally:
        os.close(fd)
    return None
