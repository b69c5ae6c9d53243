"""Options of SOL_SOCKET, which all families have: what is kept of them, and how it is asked and told.

Most only change what is kept: nothing on a loopback depends on marks, priorities or filters. Those that do something
say so. Source: socket(7), sk_setsockopt and sk_getsockopt of net/core/sock.c of Linux 6.18.
"""

from __future__ import annotations

import errno
from struct import pack, unpack

from ...errors import LinuxError
from ..uaccess import get_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .endpoint import Endpoint
    from .network import Network

SOL_SOCKET = 1
SO_DEBUG, SO_REUSEADDR, SO_TYPE, SO_ERROR, SO_DONTROUTE, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE = range(1, 10)
SO_OOBINLINE, SO_NO_CHECK, SO_PRIORITY, SO_LINGER, SO_BSDCOMPAT, SO_REUSEPORT, SO_PASSCRED, SO_PEERCRED = range(10, 18)
SO_RCVLOWAT, SO_SNDLOWAT, SO_RCVTIMEO, SO_SNDTIMEO = range(18, 22)
SO_BINDTODEVICE, SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_PEERNAME, SO_TIMESTAMP, SO_ACCEPTCONN, SO_PEERSEC = range(
    25, 32
)
SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_PASSSEC, SO_TIMESTAMPNS, SO_MARK, SO_TIMESTAMPING, SO_PROTOCOL, SO_DOMAIN = range(
    32, 40
)
SO_RXQ_OVFL, SO_WIFI_STATUS, SO_PEEK_OFF, SO_NOFCS, SO_LOCK_FILTER, SO_SELECT_ERR_QUEUE, SO_BUSY_POLL = range(40, 47)
SO_MAX_PACING_RATE, SO_BPF_EXTENSIONS, SO_INCOMING_CPU = 47, 48, 49
SO_MEMINFO, SO_INCOMING_NAPI_ID, SO_COOKIE, SO_PEERGROUPS, SO_ZEROCOPY = 55, 56, 57, 59, 60
SO_BINDTOIFINDEX, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW, SO_TIMESTAMPING_NEW = 62, 63, 64, 65
SO_RCVTIMEO_NEW, SO_SNDTIMEO_NEW, SO_PREFER_BUSY_POLL, SO_NETNS_COOKIE, SO_BUF_LOCK = 66, 67, 69, 71, 72
SO_RESERVE_MEM, SO_TXREHASH, SO_RCVMARK, SO_PASSPIDFD, SO_PEERPIDFD, SO_RCVPRIORITY, SO_PASSRIGHTS = (
    73, 74, 75, 76, 77, 82, 83,
)  # fmt: skip
SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF, SO_CNX_ADVICE, SO_TXTIME = 50, 51, 52, 53, 61
SO_DETACH_REUSEPORT_BPF, SO_BUSY_POLL_BUDGET = 68, 70

_INT_MAX = (1 << 31) - 1
_SNDBUF_LEAST, _RCVBUF_LEAST = 4608, 2304
_PASSES = {SO_PASSCRED: "pass_cred", SO_PASSSEC: "pass_sec", SO_PASSPIDFD: "pass_pidfd"}
_FLAGS = {
    SO_DEBUG: "debug",
    SO_REUSEADDR: "reuse_address",
    SO_DONTROUTE: "dont_route",
    SO_BROADCAST: "broadcast",
    SO_KEEPALIVE: "keep_alive",
    SO_OOBINLINE: "oob_inline",
    SO_NO_CHECK: "no_check",
    SO_REUSEPORT: "reuse_port",
    SO_RXQ_OVFL: "tell_drops",
    SO_WIFI_STATUS: "wifi_status",
    SO_NOFCS: "no_fcs",
    SO_LOCK_FILTER: "filter_locked",
    SO_SELECT_ERR_QUEUE: "select_error_queue",
    SO_TIMESTAMP: "stamp",
    SO_TIMESTAMP_NEW: "stamp_new",
    SO_TIMESTAMPNS: "stamp_ns",
    SO_TIMESTAMPNS_NEW: "stamp_ns_new",
    SO_PREFER_BUSY_POLL: "prefer_busy_poll",
    SO_RCVMARK: "receive_mark",
    SO_RCVPRIORITY: "receive_priority",
}
"""What is on or off."""
_NUMBERS = {
    SO_PRIORITY: "priority",
    SO_MARK: "mark",
    SO_INCOMING_CPU: "incoming_cpu",
    SO_BUSY_POLL: "busy_poll",
    SO_TIMESTAMPING: "stamping",
    SO_TIMESTAMPING_NEW: "stamping",
    SO_TXREHASH: "tx_rehash",
    SO_BINDTOIFINDEX: "interface",
    SO_BUF_LOCK: "buffers_locked",
    SO_ZEROCOPY: "zero_copy",
}
"""What is kept as it was said."""
_REFUSED = {
    SO_ATTACH_FILTER: errno.EINVAL,
    SO_DETACH_FILTER: errno.ENOENT,
    SO_ATTACH_REUSEPORT_CBPF: errno.EINVAL,
    SO_DETACH_REUSEPORT_BPF: errno.EINVAL,
}
"""Filters and what else a container has not."""
_STAMPING_KNOWN = (1 << 19) - 1
_STAMPING_ID, _STAMPING_ID_TCP = 1 << 7, 1 << 16
_TXTIME_CLOCKS = (0, 1, 11)
"""CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_TAI."""
_NO_RATE = (1 << 64) - 1


class Options:
    """What setsockopt said of SOL_SOCKET. Sizes are those of Linux' books: twice what was asked for."""

    def __init__(self, network: Network) -> None:
        self.send_buffer = network.buffer
        self.receive_buffer = network.buffer
        self.buffer_limit = network.buffer_limit
        self.linger: tuple[bool, int] = (False, 0)
        self.least = 1  # SO_RCVLOWAT
        self.receive_timeout: float | None = None
        self.send_timeout: float | None = None
        self.pass_cred = self.pass_sec = self.pass_pidfd = False
        self.pass_rights = True
        self.peek_offset = -1
        self.flags: dict[str, bool] = {}
        self.numbers: dict[str, int] = {"incoming_cpu": -1, "tx_rehash": 1}
        self.pacing_rate = _NO_RATE

    @property
    def told_cred(self) -> bool:
        """Whether it is to be told who sent something, by numbers or a descriptor."""
        return self.pass_cred or self.pass_pidfd

    def on(self, name: str) -> bool:
        return self.flags.get(name, False)

    def copy(self, network: Network) -> Options:
        """What a connection has of its listener."""
        other = Options(network)
        other.__dict__.update(self.__dict__)
        other.flags, other.numbers = dict(self.flags), dict(self.numbers)
        return other


def integer(task: LinuxTask, address: int, size: int) -> int:
    """An option's int. EINVAL for fewer bytes."""
    if size < 4:
        raise LinuxError(errno.EINVAL)
    (value,) = unpack("<i", get_bytes(task, address, 4))
    return int(value)


def set_option(task: LinuxTask, end: Endpoint, name: int, address: int, size: int) -> None:
    """setsockopt of SOL_SOCKET."""
    options = end.options
    if name == SO_BINDTODEVICE:
        _bind_to_device(task, address, size)
        return
    value = integer(task, address, size)
    if name in (SO_SNDBUFFORCE, SO_RCVBUFFORCE) and not task.creds.reigns:
        raise LinuxError(errno.EPERM)
    if name in (SO_SNDBUF, SO_SNDBUFFORCE):
        value = min(value & 0xFFFF_FFFF, options.buffer_limit) if name == SO_SNDBUF else max(value, 0)
        options.send_buffer = max(2 * min(value, _INT_MAX // 2), _SNDBUF_LEAST)
        options.numbers["buffers_locked"] = options.numbers.get("buffers_locked", 0) | 1
        end.send_buffer_set()
    elif name in (SO_RCVBUF, SO_RCVBUFFORCE):
        value = min(value & 0xFFFF_FFFF, options.buffer_limit) if name == SO_RCVBUF else max(value, 0)
        options.receive_buffer = max(2 * min(value, _INT_MAX // 2), _RCVBUF_LEAST)
        options.numbers["buffers_locked"] = options.numbers.get("buffers_locked", 0) | 2
    elif name in _PASSES:
        _require_passing(end, name)
        setattr(options, _PASSES[name], bool(value))
    elif name == SO_PASSRIGHTS:
        if end.family != 1:
            raise LinuxError(errno.EOPNOTSUPP)
        options.pass_rights = bool(value)
    elif name == SO_LINGER:
        if size < 8:
            raise LinuxError(errno.EINVAL)
        on, seconds = unpack("<ii", get_bytes(task, address, 8))
        options.linger = (bool(on), seconds if on else options.linger[1])
    elif name == SO_RCVLOWAT:
        options.least = end.least_wanted(_INT_MAX if value < 0 else value or 1)
        end.least_set()
    elif name in (SO_RCVTIMEO, SO_RCVTIMEO_NEW):
        options.receive_timeout = _timeout(task, address, size, options.receive_timeout)
    elif name in (SO_SNDTIMEO, SO_SNDTIMEO_NEW):
        options.send_timeout = _timeout(task, address, size, options.send_timeout)
    else:
        _set_kept(task, end, name, value, address, size)
    end.option_changed()


def _require_passing(end: Endpoint, name: int) -> None:
    """EOPNOTSUPP unless the family passes that on."""
    if end.family != 1 and not (name in (SO_PASSCRED, SO_PASSSEC) and end.family == 16):
        raise LinuxError(errno.EOPNOTSUPP)


def _set_kept(task: LinuxTask, end: Endpoint, name: int, value: int, address: int, size: int) -> None:
    """Options that nothing here depends on."""
    options = end.options
    if name == SO_REUSEPORT and value and end.family not in (2, 10):
        raise LinuxError(errno.EOPNOTSUPP)
    if name == SO_DEBUG and value and not task.creds.reigns:
        raise LinuxError(errno.EACCES)
    if name == SO_LOCK_FILTER and options.on("filter_locked") and not value:
        raise LinuxError(errno.EPERM)
    if name == SO_TXREHASH and (end.family not in (2, 10) or end.kind != 1):
        raise LinuxError(errno.EOPNOTSUPP)
    if name == SO_TXREHASH and value not in (-1, 0, 1):
        raise LinuxError(errno.EINVAL)
    if name in (SO_TIMESTAMPING, SO_TIMESTAMPING_NEW) and (
        value & ~_STAMPING_KNOWN or (value & _STAMPING_ID_TCP and not value & _STAMPING_ID)
    ):
        raise LinuxError(errno.EINVAL)
    if name in (SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_EBPF):
        if size == 4:
            task.files.get(value)  # EBADF; there can be no descriptor of a program
        raise LinuxError(errno.EINVAL)
    if name == SO_TXTIME:
        _set_txtime(task, end, address, size)
        return
    if name in _REFUSED:
        raise LinuxError(_REFUSED[name])
    if name in _FLAGS:
        options.flags[_FLAGS[name]] = bool(value)
    elif name == SO_PRIORITY:
        if not 0 <= value <= 6 and not task.creds.reigns:
            raise LinuxError(errno.EPERM)
        options.numbers["priority"] = value
    elif name == SO_MARK and not task.creds.reigns:
        raise LinuxError(errno.EPERM)
    elif name == SO_BUSY_POLL and value < 0:
        raise LinuxError(errno.EINVAL)
    elif name == SO_ZEROCOPY:
        if end.family not in (2, 10) or end.kind not in (1, 2):
            raise LinuxError(errno.EOPNOTSUPP)
        if value not in (0, 1):
            raise LinuxError(errno.EINVAL)
        options.numbers["zero_copy"] = value
    elif name == SO_PEEK_OFF:
        if end.family not in (1, 2, 10):
            raise LinuxError(errno.EOPNOTSUPP)
        options.peek_offset = value
    elif name == SO_BUF_LOCK:
        if value & ~3:
            raise LinuxError(errno.EINVAL)
        options.numbers["buffers_locked"] = value
    elif name == SO_MAX_PACING_RATE:
        if size >= 8:
            (options.pacing_rate,) = unpack("<Q", get_bytes(task, address, 8))
        else:
            options.pacing_rate = _NO_RATE if value == -1 else value & 0xFFFF_FFFF
    elif name == SO_BINDTOIFINDEX:
        if value < 0:
            raise LinuxError(errno.EINVAL)
        options.numbers["interface"] = value
    elif name in _NUMBERS:
        options.numbers[_NUMBERS[name]] = int(bool(value)) if name == SO_TXREHASH else value
    elif name == SO_BUSY_POLL_BUDGET:
        if not 0 <= value <= 0xFFFF:
            raise LinuxError(errno.EINVAL)
    elif name == SO_RESERVE_MEM:
        if value < 0:
            raise LinuxError(errno.EINVAL)
        raise LinuxError(errno.EOPNOTSUPP)  # nobody counts what a group's sockets hold
    elif name not in (SO_BSDCOMPAT, SO_CNX_ADVICE):
        raise LinuxError(errno.ENOPROTOOPT)


def _set_txtime(task: LinuxTask, end: Endpoint, address: int, size: int) -> None:
    """By which clock packets say when they are to go; any but CLOCK_MONOTONIC takes a right that nobody has."""
    if size != 8:
        raise LinuxError(errno.EINVAL)
    clock, flags = unpack("<iI", get_bytes(task, address, 8))
    if flags & ~3 or clock not in _TXTIME_CLOCKS:
        raise LinuxError(errno.EINVAL)
    if clock != 1:
        raise LinuxError(errno.EPERM)
    end.options.numbers["txtime"] = flags


def _bind_to_device(task: LinuxTask, address: int, size: int) -> None:
    """The loopback is the only device, and all there is comes by it."""
    if size < 0:
        raise LinuxError(errno.EINVAL)
    device = get_bytes(task, address, min(size, 15)).partition(b"\0")[0]
    if device not in (b"", b"lo"):
        raise LinuxError(errno.ENODEV)


def _timeout(task: LinuxTask, address: int, size: int, before: float | None) -> float | None:
    """Seconds, None for no end (sock_set_timeout). A negative number is no time at all."""
    if size < 16:
        raise LinuxError(errno.EINVAL)
    seconds, micros = unpack("<qq", get_bytes(task, address, 16))
    if not 0 <= micros < 1_000_000:
        raise LinuxError(errno.EDOM)
    if seconds < 0:
        return 0.0
    if seconds == micros == 0 or seconds >= (1 << 63) // 1000 - 1:
        return None
    return float(seconds + micros / 1_000_000)


def get_option(task: LinuxTask, end: Endpoint, name: int, size: int) -> bytes:
    """What getsockopt of SOL_SOCKET tells; the caller cuts it."""
    options = end.options
    if name in (SO_RCVTIMEO, SO_SNDTIMEO, SO_RCVTIMEO_NEW, SO_SNDTIMEO_NEW):
        timeout = options.receive_timeout if name in (SO_RCVTIMEO, SO_RCVTIMEO_NEW) else options.send_timeout
        ticks = 0 if timeout is None else -(-round(timeout * 1_000_000) // 4000)  # jiffies, 250 in a second
        return pack("<qq", *divmod(ticks * 4000, 1_000_000))
    if name == SO_LINGER:
        return pack("<ii", *options.linger)
    if name == SO_PEERCRED:
        from ..task.userspace import called

        cred = end.peer_cred
        return (
            pack("<iII", *called(task.creds.space, cred))
            if cred is not None
            else pack("<iII", 0, 0xFFFF_FFFF, 0xFFFF_FFFF)
        )
    if name == SO_PEERPIDFD:
        return _peer_pidfd(task, end)
    if name == SO_PEERGROUPS:
        from ..task.userspace import shown_gid

        groups = end.peer_groups
        if groups is None:
            raise LinuxError(errno.ENODATA)
        if size < 4 * len(groups):
            raise LinuxError(errno.ERANGE)
        return pack(f"<{len(groups)}I", *(shown_gid(task.creds.space, gid) for gid in groups))
    if name == SO_PEERNAME:
        found = end.name(True)
        if len(found) < size:
            raise LinuxError(errno.EINVAL)
        return found
    if name in (SO_BINDTODEVICE, SO_ATTACH_FILTER):
        return b""
    if name == SO_TXTIME:
        told = options.numbers.get("txtime")
        return bytes(8) if told is None else pack("<iI", 1, told)
    if name in (SO_TIMESTAMPING, SO_TIMESTAMPING_NEW):
        return pack("<II", options.numbers.get("stamping", 0), 0)
    if name == SO_COOKIE:
        if size < 8:
            raise LinuxError(errno.EINVAL)
        return pack("<Q", end.number)
    if name == SO_NETNS_COOKIE:
        if size != 8:
            raise LinuxError(errno.EINVAL)
        return pack("<Q", 1)
    if name == SO_MEMINFO:
        return pack("<9I", 0, options.receive_buffer, 0, options.send_buffer, 0, 0, 0, 0, 0)
    if name == SO_MAX_PACING_RATE:
        return pack("<Q", options.pacing_rate) if size >= 8 else pack("<I", min(options.pacing_rate, 0xFFFF_FFFF))
    return pack("<i", _integer(end, name))


def _peer_pidfd(task: LinuxTask, end: Endpoint) -> bytes:
    """A descriptor of who is at the other end. ENODATA for nobody, ESRCH for one that is no more."""
    from ..files.pidfd import add_pidfd

    if end.peer_cred is None:
        raise LinuxError(errno.ENODATA)
    peer = task.machine.tasks.get(end.peer_cred[0])
    if peer is None:
        raise LinuxError(errno.ESRCH)
    return pack("<i", add_pidfd(task, peer))


def _integer(end: Endpoint, name: int) -> int:
    options = end.options
    if name == SO_ERROR:
        code, end.error = end.error, 0
        return code
    plain = {
        SO_TYPE: end.kind,
        SO_DOMAIN: end.family,
        SO_PROTOCOL: end.protocol,
        SO_SNDBUF: options.send_buffer,
        SO_RCVBUF: options.receive_buffer,
        SO_RCVLOWAT: options.least,
        SO_SNDLOWAT: 1,
        SO_ACCEPTCONN: int(end.state == 10),
        SO_PEEK_OFF: options.peek_offset,
        SO_BPF_EXTENSIONS: 64,
        SO_BSDCOMPAT: 0,
        SO_RESERVE_MEM: 0,
        SO_INCOMING_NAPI_ID: 0,
        SO_PASSRIGHTS: int(options.pass_rights),
    }
    if name in plain:
        if (name == SO_PEEK_OFF and end.family not in (1, 2, 10)) or (name == SO_PASSRIGHTS and end.family != 1):
            raise LinuxError(errno.EOPNOTSUPP)
        return plain[name]
    if name in _PASSES:
        _require_passing(end, name)
        return int(getattr(options, _PASSES[name]))
    if name in _FLAGS:
        return int(options.on(_FLAGS[name]))
    if name == SO_TXREHASH and (end.family not in (2, 10) or end.kind != 1):
        raise LinuxError(errno.EOPNOTSUPP)
    if name in _NUMBERS:
        return options.numbers.get(_NUMBERS[name], 0)
    raise LinuxError(errno.ENOPROTOOPT)
