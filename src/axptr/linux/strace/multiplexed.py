"""Arguments that are read by what another argument says: clone, fcntl, ioctl, futex, poll, epoll; results that say more
than a number."""

from __future__ import annotations

import struct

from . import constants as names
from .decode import (
    Call,
    Decoder,
    clone_flags,
    decimal,
    described,
    fd,
    hexadecimal,
    open_flags,
    pointer,
    signal_number,
    stored,
    timespec_given,
)

_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL, _F_DUPFD_CLOEXEC = 0, 1, 2, 3, 4, 1030
_NUMBERED = (_F_DUPFD, _F_DUPFD_CLOEXEC, 1031)
_BARE = (_F_GETFD, _F_GETFL, 9, 1025, 1032, 1034)
_CLONE_SETTLS, _CLONE_PARENT_SETTID, _CLONE_PIDFD, _CLONE_CHILD = 0x80000, 0x100000, 0x1000, 0x1200000
_POLL_LIMIT = 32
_ENTRIES_LIMIT = 1 << 20
"""Bytes of entries that are looked through."""
POLL = names.table(
    "POLLIN=1 POLLPRI=2 POLLOUT=4 POLLRDNORM=0x40 POLLRDBAND=0x80 POLLWRNORM=0x100 POLLWRBAND=0x200 POLLMSG=0x400"
    " POLLERR=8 POLLHUP=0x10 POLLNVAL=0x20 POLLRDHUP=0x2000"
)
EPOLL = names.table(
    "EPOLLIN=1 EPOLLPRI=2 EPOLLOUT=4 EPOLLRDNORM=0x40 EPOLLRDBAND=0x80 EPOLLWRNORM=0x100 EPOLLWRBAND=0x200"
    " EPOLLMSG=0x400 EPOLLERR=8 EPOLLHUP=0x10 EPOLLRDHUP=0x2000 EPOLLEXCLUSIVE=0x10000000 EPOLLWAKEUP=0x20000000"
    " EPOLLONESHOT=0x40000000 EPOLLET=0x80000000"
)
EPOLL_CTL = names.table("EPOLL_CTL_ADD=1 EPOLL_CTL_DEL=2 EPOLL_CTL_MOD=3")


def fcntl_argument(call: Call, number: int) -> str:
    command = call.value(1)
    if command in _BARE:
        return ""
    if command in _NUMBERED:
        return decimal(call, number)
    if command == _F_SETFD:
        return names.flag_names(number & 0xFFFF_FFFF, names.FD)
    return open_flags(call, number) if command == _F_SETFL else hexadecimal(call, number)


_TCGETS, _TIOCGWINSZ, _TIOCSWINSZ, _TIOCGPGRP, _TIOCSPGRP, _FIONREAD = 0x5401, 0x5413, 0x5414, 0x540F, 0x5410, 0x541B
_INTEGER_OUT, _INTEGER_IN, _NOTHING = (_TIOCGPGRP, _FIONREAD), (_TIOCSPGRP, 0x5421), (0x5450, 0x5451)
_FICLONE = 0x40049409


@stored
def ioctl_argument(call: Call, at: int) -> str:
    """Windows' sizes and single numbers; a terminal's modes print as an address."""
    command = call.value(1)
    if command in _NOTHING:
        return ""
    if command == _FICLONE:
        return fd(call, at)
    if command == _TIOCSWINSZ or (command == _TIOCGWINSZ and not call.failed):
        data = call.bytes_at(at, 8)
        if len(data) == 8:
            rows, columns, x, y = struct.unpack("<4H", data)
            return f"{{ws_row={rows}, ws_col={columns}, ws_xpixel={x}, ws_ypixel={y}}}"
    if command in _INTEGER_IN or (command in _INTEGER_OUT and not call.failed):
        data = call.bytes_at(at, 4)
        if len(data) == 4:
            return f"[{int.from_bytes(data, 'little', signed=True)}]"
    return pointer(call, at)


# clone: strace names its arguments, and shows those that the flags say are there


def _named(name: str, decoder: Decoder, needs: int = 0) -> Decoder:
    def decode(call: Call, number: int) -> str:
        return f"{name}={decoder(call, number)}" if not needs or call.value(0) & needs else ""

    return decode


@stored
def _number_stored(call: Call, at: int) -> str:
    data = b"" if call.failed else call.bytes_at(at, 4)
    return f"[{int.from_bytes(data, 'little')}]" if len(data) == 4 else pointer(call, at)


CLONE: tuple[tuple[int, Decoder], ...] = (
    (1, _named("child_stack", pointer)),
    (0, _named("flags", clone_flags)),
    (2, stored(_named("parent_tid", _number_stored, _CLONE_PARENT_SETTID | _CLONE_PIDFD))),
    (4, stored(_named("tls", pointer, _CLONE_SETTLS))),
    (3, stored(_named("child_tidptr", pointer, _CLONE_CHILD))),
)
"""Which argument stands where, and how."""


@stored
def clone3_arguments(call: Call, at: int) -> str:
    """`{flags=..., ...}`, and what was stored for the parent."""
    data = call.bytes_at(at, 64)
    if len(data) < 64:
        return pointer(call, at)
    given, pidfd, child, parent, signal, stack, size, tls = struct.unpack("<8Q", data)
    shown = [f"flags={names.flag_names(given, names.CLONE)}"]
    if given & _CLONE_PIDFD:
        shown.append(f"pidfd={pointer(call, pidfd)}")
    if given & _CLONE_CHILD:
        shown.append(f"child_tid={pointer(call, child)}")
    if given & _CLONE_PARENT_SETTID:
        shown.append(f"parent_tid={pointer(call, parent)}")
    shown.append(f"exit_signal={signal_number(call, signal)}")
    shown += [f"stack={pointer(call, stack)}", f"stack_size={hexadecimal(call, size)}"]
    if given & _CLONE_SETTLS:
        shown.append(f"tls={pointer(call, tls)}")
    told = ""
    if given & _CLONE_PARENT_SETTID and not call.failed:
        told = f" => {{parent_tid={_number_stored(call, parent)}}}"
    return "{" + ", ".join(shown) + "}" + told


# futex: each operation has arguments of its own


def _unsigned(call: Call, number: int) -> str:
    return str(number & 0xFFFF_FFFF)


def _bitset(call: Call, number: int) -> str:
    low = number & 0xFFFF_FFFF
    return "FUTEX_BITSET_MATCH_ANY" if low == 0xFFFF_FFFF else hexadecimal(call, low)


_FUTEX: dict[int, dict[int, Decoder]] = {
    0: {2: _unsigned, 3: timespec_given},
    1: {2: decimal},
    3: {2: decimal, 3: _unsigned, 4: pointer},
    4: {2: decimal, 3: _unsigned, 4: pointer, 5: _unsigned},
    5: {2: decimal, 3: _unsigned, 4: pointer, 5: hexadecimal},
    6: {3: timespec_given},
    7: {},
    8: {},
    9: {2: _unsigned, 3: timespec_given, 5: _bitset},
    10: {2: decimal, 5: _bitset},
    11: {2: _unsigned, 3: timespec_given, 4: pointer},
    12: {2: decimal, 3: _unsigned, 4: pointer, 5: _unsigned},
    13: {3: timespec_given},
}
"""By operation and place; one that is not there does not count."""


def futex_rest(place: int) -> Decoder:
    def decode(call: Call, number: int) -> str:
        known = _FUTEX.get(call.value(1) & 0x7F)
        if known is None:
            return pointer(call, number)
        return known[place](call, number) if place in known else ""

    return decode


# poll, epoll


def _poll_entries(call: Call, at: int, events: bool) -> list[str] | None:
    entries = []
    for index in range(min(max(call.value(1), 0), _POLL_LIMIT)):
        data = call.bytes_at(at + 8 * index, 8)
        if len(data) < 8:
            return None
        number, wanted, got = struct.unpack("<iHH", data)
        if events:
            more = f", events={names.flag_names(wanted, POLL)}" if number >= 0 else ""
            entries.append(f"{{fd={fd(call, number)}{more}}}")
        elif got:
            entries.append(f"{{fd={fd(call, number)}, revents={names.flag_names(got, POLL)}}}")
    return entries


def poll_entries(call: Call, at: int) -> str:
    entries = _poll_entries(call, at, True)
    return pointer(call, at) if entries is None or not at else f"[{', '.join(entries)}]"


def _epoll_event(data: bytes) -> str:
    events, user = struct.unpack("<IQ", data)
    return f"{{events={names.flag_names(events, EPOLL)}, data={{u32={user & 0xFFFF_FFFF}, u64={user}}}}}"


def epoll_event(call: Call, at: int) -> str:
    data = call.bytes_at(at, 12) if at else b""
    return _epoll_event(data) if len(data) == 12 else pointer(call, at)


@stored
def epoll_events(call: Call, at: int) -> str:
    if call.result is None or call.result < 0:
        return pointer(call, at)
    pieces = [call.bytes_at(at + 12 * i, 12) for i in range(min(call.result, _POLL_LIMIT))]
    if any(len(data) < 12 for data in pieces):
        return pointer(call, at)
    return f"[{', '.join(map(_epoll_event, pieces))}]"


def entries_listed(call: Call, at: int) -> str:
    """getdents64: only how many, as strace has it."""
    if call.failed:
        return pointer(call, at)
    data, count, position = call.bytes_at(at, min(call.result or 0, _ENTRIES_LIMIT)), 0, 0
    while position + 18 <= len(data):
        size = int.from_bytes(data[position + 16 : position + 18], "little")
        if not size:
            break
        position, count = position + size, count + 1
    return f"{pointer(call, at)} /* {count} entries */"


# results


def _fcntl_result(call: Call, result: int) -> str:
    command = call.value(1)
    if command == _F_GETFD and result:
        return f"{result:#x} (flags {names.flag_names(result, names.FD)})"
    if command == _F_GETFL:
        return f"{hexadecimal(call, result)} (flags {open_flags(call, result)})"
    return _descriptor(call, result) if command in (_F_DUPFD, _F_DUPFD_CLOEXEC) else str(result)


def _poll_result(call: Call, result: int) -> str:
    if not result:
        return "0 (Timeout)"
    entries = _poll_entries(call, call.value(0), False)
    return str(result) if entries is None else f"{result} ([{', '.join(entries)}])"


def _descriptor(call: Call, result: int) -> str:
    return f"{result}{described(call.task, result) if call.style.descriptors else ''}"


_OPENS = (
    "open openat openat2 creat dup dup2 dup3 socket accept accept4 epoll_create epoll_create1 eventfd eventfd2"
    " inotify_init inotify_init1 memfd_create signalfd signalfd4 timerfd_create pidfd_open pidfd_getfd"
)
RESULTS: dict[str, Decoder] = {
    "fcntl": _fcntl_result,
    "poll": _poll_result,
    "ppoll": _poll_result,
    **dict.fromkeys(("mmap", "mremap", "brk", "shmat"), lambda call, result: f"{result:#x}" if result else "0"),
    **dict.fromkeys(_OPENS.split(), _descriptor),
    "umask": lambda call, result: f"0{result:o}" if result else "000",
}
"""Of the calls whose result is more than a decimal number."""
