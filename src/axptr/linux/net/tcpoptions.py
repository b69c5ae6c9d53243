"""Options of IPPROTO_TCP. Source: tcp(7), do_tcp_setsockopt and tcp_get_info of net/ipv4/tcp.c of Linux 6.18.

Nothing of a connection over the loopback depends on them; they are kept, and told.
"""

from __future__ import annotations

import errno
from struct import pack, pack_into

from ...errors import LinuxError
from ..uaccess import get_bytes
from .endpoint import CLOSE, LISTEN
from .options import integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .tcp import TcpEndpoint

IPPROTO_TCP = 6
TCP_NODELAY, TCP_MAXSEG, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT, TCP_LINGER2 = range(1, 9)
TCP_DEFER_ACCEPT, TCP_WINDOW_CLAMP, TCP_INFO, TCP_QUICKACK, TCP_CONGESTION, TCP_MD5SIG = range(9, 15)
TCP_USER_TIMEOUT, TCP_REPAIR, TCP_FASTOPEN, TCP_TIMESTAMP, TCP_NOTSENT_LOWAT, TCP_CC_INFO = 18, 19, 23, 24, 25, 26
TCP_FASTOPEN_CONNECT, TCP_ULP, TCP_INQ, TCP_TX_DELAY = 30, 31, 36, 37
TCP_THIN_DUPACK = 17
_SET_REFUSED = {
    TCP_MD5SIG: errno.EINVAL, TCP_REPAIR: errno.EPERM, 20: errno.EPERM, 21: errno.EINVAL, 22: errno.EINVAL,
    TCP_TIMESTAMP: errno.EPERM, 29: errno.EPERM, 32: errno.EINVAL, 33: errno.EINVAL,
}  # fmt: skip
"""Repair takes a right that no container gives; there are no signatures, and no keys of one's own (FASTOPEN_KEY)."""
_GET_REFUSED = (20, 21, 29, 35)
_TOLD_NOTHING = (TCP_CC_INFO, TCP_ULP, 28, 33)
_MOST_RETRIES = 255
_MSS_FIRST, _MSS = 536, 65_483
_INFO = 248

_KEPT = {
    TCP_NODELAY: (None, None, 0),
    TCP_CORK: (None, None, 0),
    TCP_KEEPIDLE: (1, 32_767, 7200),
    TCP_KEEPINTVL: (1, 32_767, 75),
    TCP_KEEPCNT: (1, 127, 9),
    TCP_SYNCNT: (1, 127, 6),
    TCP_QUICKACK: (None, None, 1),
    TCP_USER_TIMEOUT: (0, None, 0),
    TCP_FASTOPEN_CONNECT: (0, 1, 0),
    TCP_INQ: (0, 1, 0),
    16: (0, 1, 0),  # TCP_THIN_LINEAR_TIMEOUTS
    27: (0, 2, 0),  # TCP_SAVE_SYN
    34: (0, 1, 0),  # TCP_FASTOPEN_NO_COOKIE
    TCP_TX_DELAY: (0, (1 << 28) - 1, 0),
    44: (1000, 120_000, 120_000),  # TCP_RTO_MAX_MS
    45: (8_000, 200_000, 200_000),  # TCP_RTO_MIN_US
    46: (8_000, 200_000, 200_000),  # TCP_DELACK_MAX_US
}
"""Number -> least and most (None: any, or a flag), and what it is at first."""


class TcpOptions:
    """What setsockopt said of a connection."""

    def __init__(self) -> None:
        self.kept: dict[int, int] = {}
        self.congestion = b"cubic"

    def copy(self) -> TcpOptions:
        other = TcpOptions()
        other.kept = dict(self.kept)
        other.congestion = self.congestion
        return other

    def set(self, task: LinuxTask, end: TcpEndpoint, name: int, address: int, size: int) -> None:
        if name in (TCP_CONGESTION, TCP_ULP):
            if size < 1:
                raise LinuxError(errno.EINVAL)
            word = get_bytes(task, address, min(size, 15)).partition(b"\0")[0]
            if name == TCP_ULP or word not in (b"cubic", b"reno"):
                raise LinuxError(errno.ENOENT)
            self.congestion = word
            return
        value = integer(task, address, size)
        if name in _SET_REFUSED:
            raise LinuxError(_SET_REFUSED[name])
        if name in _KEPT:
            least, most, _ = _KEPT[name]
            if least is None:
                value = int(bool(value))
            elif value < least or (most is not None and value > most):
                raise LinuxError(errno.EINVAL)
        elif name == TCP_MAXSEG:
            if value and not 88 <= value <= 32_767:
                raise LinuxError(errno.EINVAL)
        elif name == TCP_LINGER2:
            value = -1 if value < 0 else min(value, 120)
        elif name == TCP_DEFER_ACCEPT:
            value = _deferred(value)
        elif name == TCP_WINDOW_CLAMP:
            if value == 0:
                if end.state != CLOSE:
                    raise LinuxError(errno.EINVAL)
            else:
                value = max(value, 1152)
        elif name == TCP_FASTOPEN:
            if value < 0 or end.state not in (CLOSE, LISTEN):
                raise LinuxError(errno.EINVAL)
            value = min(value, end.network.backlog_limit)
        elif name == TCP_THIN_DUPACK:
            if value not in (0, 1):
                raise LinuxError(errno.EINVAL)
            value = 0
        elif name != TCP_NOTSENT_LOWAT:
            raise LinuxError(errno.ENOPROTOOPT)
        self.kept[name] = value

    def get(self, end: TcpEndpoint, name: int, size: int) -> bytes:
        if name == TCP_INFO:
            return _info(end)
        if name == TCP_CONGESTION:
            return self.congestion.ljust(16, b"\0")
        if name in _TOLD_NOTHING:
            return b""
        if name in _GET_REFUSED:
            raise LinuxError(errno.EINVAL)
        if name in _KEPT:
            value = self.kept.get(name, _KEPT[name][2])
        elif name == TCP_MAXSEG:
            value = self.kept.get(name, 0) or (_MSS_FIRST if end.peer is None else _MSS)
        elif name == TCP_LINGER2:
            value = self.kept.get(name, 60) or 60
        elif name in (TCP_DEFER_ACCEPT, TCP_WINDOW_CLAMP, TCP_FASTOPEN, TCP_NOTSENT_LOWAT, TCP_THIN_DUPACK):
            value = self.kept.get(name, 0)
        elif name == TCP_TIMESTAMP:
            value = end.network.milliseconds()
        elif name in (TCP_REPAIR, 43):  # TCP_IS_MPTCP
            value = 0
        else:
            raise LinuxError(errno.ENOPROTOOPT)
        return pack("<i", value)


def _deferred(seconds: int) -> int:
    """What is told of a time: those after which the first packet is sent again (secs_to_retrans)."""
    if seconds <= 0:
        return 0
    total = timeout = 1
    for _ in range(_MOST_RETRIES - 1):
        if total >= seconds:
            break
        timeout = min(2 * timeout, 120)
        total += timeout
    return total


def _info(end: TcpEndpoint) -> bytes:
    """struct tcp_info."""
    info = bytearray(_INFO)
    connected = end.peer is not None
    pack_into("<BBBBBB", info, 0, end.state, 0, 0, 0, 0, 7 if connected else 0)
    info[6] = 0x77 if connected else 0
    info[7] = 0 if connected else 1  # what was measured is not the network's doing
    mss = _MSS if connected else _MSS_FIRST
    times = (201_000, 40_000) if connected else (1_000_000, 0)
    pack_into("<IIII", info, 8, *times, mss, mss if connected else 0)
    pack_into("<II", info, 76, 65_535, 65_535)  # pmtu, rcv_ssthresh
    pack_into("<IIIIII", info, 84 - 16, 50, 25, 0x7FFF_FFFF, 10, mss, 3)
    pack_into("<QQ", info, 120, end.sent, end.received)
    return bytes(info)
