"""The network devices of a machine: the loopback, and what ioctl(2) tells of it. Source: netdevice(7),
net/core/dev_ioctl.c, net/ipv4/devinet.c of Linux 6.18.

It goes up and down for who may arrange the name space; nothing else of a device can be changed.
"""

from __future__ import annotations

import errno
from struct import pack, unpack

from ...errors import LinuxError
from ..task.creds import CAP_NET_ADMIN
from ..uaccess import get_bytes, put_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .endpoint import Endpoint
    from .network import Network

LOOPBACK, LOOPBACK_NUMBER, MTU, QUEUE = b"lo", 1, 65_536, 1000
IFF_UP, IFF_LOOPBACK, IFF_RUNNING, IFF_LOWER_UP = 1, 8, 0x40, 0x10000
ARPHRD_LOOPBACK = 772
_SIZE = 40
"""sizeof(struct ifreq)."""
_SOCKET_COMMANDS = 0x89
"""The byte by which a command is one of sockets: of any of them the request is read first (sock_do_ioctl)."""
SIOCGIFNAME, SIOCGIFCONF, SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFDSTADDR = 0x8910, 0x8912, 0x8913, 0x8915, 0x8917
SIOCGIFBRDADDR, SIOCGIFNETMASK, SIOCGIFMETRIC, SIOCGIFMEM, SIOCGIFMTU = 0x8919, 0x891B, 0x891D, 0x891F, 0x8921
SIOCGIFHWADDR, SIOCGIFINDEX, SIOCGIFTXQLEN, SIOCGIFMAP, SIOCGIFSLAVE = 0x8927, 0x8933, 0x8942, 0x8970, 0x8929
SIOCSIFFLAGS = 0x8914
SIOCETHTOOL, SIOCGIFPFLAGS = 0x8946, 0x8935
_CHANGES = (
    0x8914, 0x8916, 0x8918, 0x891A, 0x891C, 0x891E, 0x8922, 0x8923, 0x8924, 0x8943, 0x890B, 0x890C, 0x8953, 0x8955,
    0x8971, 0x8931, 0x8932,
)  # fmt: skip
"""Commands that set something: of a device, of routes, of neighbours."""


def flags(task: LinuxTask) -> int:
    """What SIOCGIFFLAGS tells of the loopback."""
    return IFF_LOOPBACK | (IFF_UP | IFF_RUNNING if task.network.up else 0)


def set_up(network: Network, up: bool) -> None:
    """Let the loopback be up, with its address (inetdev_event), or down."""
    network.up = up
    if up:
        network.address = network.routed = True


def interface_ioctl(task: LinuxTask, end: Endpoint, command: int, argument: int) -> int:
    """The commands that all sockets have. ENOTTY for what is none."""
    if command == SIOCGIFCONF:
        return _configuration(task, end, argument)
    if command in _CHANGES:
        request = get_bytes(task, argument, _SIZE)
        if not task.creds.has_over(end.network.users, CAP_NET_ADMIN):
            raise LinuxError(errno.EPERM)
        if request[:16].partition(b"\0")[0] != LOOPBACK:
            raise LinuxError(errno.ENODEV)
        if command != SIOCSIFFLAGS:
            raise LinuxError(errno.EOPNOTSUPP)
        set_up(end.network, bool(unpack("<h", request[16:18])[0] & IFF_UP))
        return 0
    inet = command in (SIOCGIFADDR, SIOCGIFDSTADDR, SIOCGIFBRDADDR, SIOCGIFNETMASK)
    known = (
        SIOCGIFNAME, SIOCGIFFLAGS, SIOCGIFMETRIC, SIOCGIFMEM, SIOCGIFMTU, SIOCGIFHWADDR, SIOCGIFINDEX, SIOCGIFTXQLEN,
        SIOCGIFMAP, SIOCGIFSLAVE, SIOCETHTOOL,
    )  # fmt: skip
    if command >> 8 & 0xFF != _SOCKET_COMMANDS:
        raise LinuxError(errno.ENOTTY)
    request = get_bytes(task, argument, _SIZE)
    if not (command in known or (inet and end.family == 2)):
        raise LinuxError(errno.ENOTTY)
    if command == SIOCGIFNAME:
        if unpack("<i", request[16:20])[0] != LOOPBACK_NUMBER:
            raise LinuxError(errno.ENODEV)
        put_bytes(task, argument, LOOPBACK.ljust(16, b"\0"))
        return 0
    if request[:16].partition(b"\0")[0] != LOOPBACK:
        raise LinuxError(errno.ENODEV)
    put_bytes(task, argument + 16, _answer(task, command, request[16:]))
    return 0


def _answer(task: LinuxTask, command: int, request: bytes) -> bytes:
    there = task.network.address
    if command == SIOCGIFFLAGS:
        return pack("<h", flags(task))
    if command in (SIOCGIFADDR, SIOCGIFDSTADDR):
        if not there:
            raise LinuxError(errno.EADDRNOTAVAIL)
        return pack("<H2x4s8x", 2, b"\x7f\0\0\1")
    if command == SIOCGIFNETMASK:
        if not there:
            raise LinuxError(errno.EADDRNOTAVAIL)
        return pack("<H2x4s8x", 2, b"\xff\0\0\0")
    if command == SIOCGIFBRDADDR:
        if not there:
            raise LinuxError(errno.EADDRNOTAVAIL)
        return pack("<H2x4s8x", 2, bytes(4))
    if command == SIOCGIFMTU:
        return pack("<i", MTU)
    if command == SIOCGIFHWADDR:
        return pack("<H14x", ARPHRD_LOOPBACK)
    if command == SIOCGIFINDEX:
        return pack("<i", LOOPBACK_NUMBER)
    if command == SIOCGIFTXQLEN:
        return pack("<i", QUEUE)
    if command == SIOCGIFMETRIC:
        return pack("<i", 0)
    if command == SIOCGIFMAP:
        return bytes(24)
    if command in (SIOCGIFMEM, SIOCETHTOOL):
        raise LinuxError(errno.ENOTTY if command == SIOCGIFMEM else errno.EOPNOTSUPP)
    raise LinuxError(errno.EINVAL)


def _configuration(task: LinuxTask, end: Endpoint, argument: int) -> int:
    """SIOCGIFCONF: each device with an address of AF_INET."""
    size, _, address = unpack("<iiQ", get_bytes(task, argument, 16))
    entry = LOOPBACK.ljust(16, b"\0") + pack("<H2x4s16x", 2, b"\x7f\0\0\1")
    there = [entry] if task.network.up else []
    if not address:
        told = _SIZE * len(there)
    else:
        told = 0
        for one in there:
            if size - told < _SIZE:
                break
            put_bytes(task, address + told, one)
            told += _SIZE
    put_bytes(task, argument, pack("<i", told))
    return 0
