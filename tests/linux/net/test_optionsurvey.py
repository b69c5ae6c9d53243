"""Every option of every kind of socket, by its number: what setting and reading it gives is what it gives on the host,
byte by byte. An older kernel may not know one, and says ENOPROTOOPT to all of it.
"""

from __future__ import annotations

import socket
from struct import pack

import pytest

from ..caller import Script

SOL, IP, IPV6, TCP, UDP, NETLINK = 1, 0, 41, 6, 17, 270
MOST = {SOL: 86, IP: 54, IPV6: 82, TCP: 48, UDP: 106, NETLINK: 14, 255: 4, 77: 3}
KINDS = {
    "tcp": (socket.AF_INET, socket.SOCK_STREAM, (SOL, IP, TCP, IPV6, UDP)),
    "tcp6": (socket.AF_INET6, socket.SOCK_STREAM, (SOL, IP, IPV6, TCP)),
    "udp": (socket.AF_INET, socket.SOCK_DGRAM, (SOL, IP, UDP, TCP)),
    "udp6": (socket.AF_INET6, socket.SOCK_DGRAM, (SOL, IP, IPV6, UDP)),
    "stream": (socket.AF_UNIX, socket.SOCK_STREAM, (SOL, IP, TCP, 255, 77)),
    "datagrams": (socket.AF_UNIX, socket.SOCK_DGRAM, (SOL,)),
    "packets": (socket.AF_UNIX, socket.SOCK_SEQPACKET, (SOL,)),
    "netlink": (socket.AF_NETLINK, socket.SOCK_RAW, (SOL, NETLINK, 77)),
}
_RIGHT = "takes a right that no container gives"
_NUMBER = "numbers what each machine numbers for itself"
_BUILD = "depends on how the host's kernel was built"
_OTHER = "another test has it"
DIFFERS = {
    (SOL, 25): _OTHER, (SOL, 26): _BUILD, (SOL, 27): _BUILD, (SOL, 28): _OTHER, (SOL, 31): _BUILD, (SOL, 55): _NUMBER,
    (SOL, 36): _RIGHT, (SOL, 50): _BUILD, (SOL, 51): _BUILD, (SOL, 52): _BUILD, (SOL, 57): _NUMBER, (SOL, 61): _RIGHT,
    (SOL, 70): _RIGHT, (SOL, 71): _NUMBER, (SOL, 73): _BUILD, (SOL, 80): _BUILD, (SOL, 82): _BUILD,
    (SOL, 84): "came with Linux 6.17; programs do without",
    (IP, 4): "options of packets, which nobody routes here, are not kept", (IP, 16): _RIGHT, (IP, 17): _RIGHT,
    (IP, 19): _RIGHT, (IP, 32): "names interfaces of the host's", (IPV6, 17): "names interfaces of the host's",
    (IPV6, 34): _RIGHT, (IPV6, 35): _RIGHT, (IPV6, 75): _RIGHT, (IPV6, 80): _BUILD,
    (IPV6, 6): "packets come without options", (IP, 50): _NUMBER, (IPV6, 76): _NUMBER,
    (TCP, 11): _OTHER, (TCP, 13): "which ways against congestion there are is the host's affair",
    (TCP, 14): _BUILD, (TCP, 19): _RIGHT, (TCP, 20): _RIGHT, (TCP, 21): _RIGHT, (TCP, 22): _RIGHT, (TCP, 24): _RIGHT,
    (TCP, 26): "as of the way against congestion", (TCP, 29): _RIGHT, (TCP, 32): _BUILD, (TCP, 31): _BUILD,
    (TCP, 33): "keys of one's own are not kept", (TCP, 35): _BUILD, (TCP, 38): _BUILD, (TCP, 39): _BUILD,
    (TCP, 40): _BUILD, (TCP, 41): _BUILD, (TCP, 42): _BUILD, (TCP, 45): "counts in ticks", (TCP, 46): "counts in ticks",
    (UDP, 100): _BUILD,
}  # fmt: skip
"""Options that are left out, each with its reason."""
_SETTINGS = {
    (SOL, 7), (SOL, 8), (SOL, 18), (SOL, 32), (SOL, 33), (SOL, 46), (SOL, 74), (IP, 2), (IP, 10), (TCP, 2), (TCP, 4),
    (TCP, 5), (TCP, 6), (TCP, 7), (TCP, 8), (TCP, 10), (TCP, 23), (TCP, 25), (TCP, 37), (TCP, 44), (IPV6, 16),
    (IPV6, 23), (IPV6, 70),
}  # fmt: skip
"""Those whose first value is a setting of the host's: that they can be read is compared, and how much that is."""
_VALUES = (0, 1, 2, -1, 7, 100, 65_536, (1 << 31) - 1)


def _available(family: int, kind: int) -> bool:
    try:
        socket.socket(family, kind).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_gives_what_it_gives_on_the_host(answers, kind: str) -> None:
    family, type_, levels = KINDS[kind]
    if not _available(family, type_):
        pytest.skip("the host has no such sockets")
    script, of = Script(), []
    size, value = script.room(4), script.room(64)
    numbers = {word: script.put(pack("<i12x", word)) for word in _VALUES}

    def call(about: object, name: str, *words: object, hide: tuple[tuple[int, int], ...] = ()) -> object:
        of.append(about)
        return script.call(name, *words, hide=hide)

    def read(about: tuple[int, int], fd: object, count: int) -> None:
        script.poke(size, pack("<i", count))
        script.poke(value, b"\xa5" * 64)
        call(about, "getsockopt", fd, *about, value, size, hide=((value, 64),) if about in _SETTINGS else ())

    for level in levels:
        for option in range(MOST[level]):
            about = level, option
            if about in DIFFERS:
                continue
            fd = call(None, "socket", family, type_, 0)
            for count in (0, 1, 2, 4, 8, 64):
                read(about, fd, count)
            for word, at in numbers.items():
                for count in (0, 1, 4, 8, 16) if word in (0, 1, 2) else (4,):
                    call(about, "setsockopt", fd, level, option, at, count)
                    read(about, fd, 8)
            call(None, "close", fd)
    got = answers(script, lacks=(of, "ENOPROTOOPT"))
    assert {"", "EINVAL", "ENOPROTOOPT"} <= {answer.error for answer in got}
