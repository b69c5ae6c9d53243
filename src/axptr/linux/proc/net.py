"""/proc/PID/net: the machine's network as text. Source: proc_net(5), net/ipv4/tcp_ipv4.c (tcp4_seq_show),
net/ipv4/udp.c, net/unix/af_unix.c (unix_seq_show), net/core/net-procfs.c of Linux 6.18.

Addresses of the kernel's own are zeros, as for who may not see them (kptr_restrict).
"""

from __future__ import annotations

from ..net.endpoint import AF_INET, AF_INET6, ESTABLISHED, LISTEN, SOCK_DGRAM, SOCK_STREAM
from ..net.listing import inet_sockets, unix_sockets
from ..task.userspace import shown_uid
from .nodes import StaticDir, TextNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..fs.node import Node
    from ..net.listing import Listed
    from ..task.task import LinuxTask

_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
_HEAD6 = (
    "  sl  local_address                         remote_address                        st tx_queue rx_queue tr "
    "tm->when retrnsmt   uid  timeout inode"
)


def _place(ip: bytes, port: int, family: int) -> str:
    """An address in words of the machine's byte order."""
    if family == AF_INET6 and len(ip) == 4:
        ip = bytes(10) + b"\xff\xff" + ip
    words = "".join(f"{int.from_bytes(ip[i : i + 4], 'little'):08X}" for i in range(0, len(ip), 4))
    return f"{words}:{port:04X}"


def _row(task: LinuxTask, number: int, one: Listed, family: int, width: int) -> str:
    end, owner = one.end, shown_uid(task.creds.space, one.end.owner)
    ip, port = end.goal or (bytes(4 if family == AF_INET else 16), 0)
    sending = 0 if end.state == LISTEN else one.sending
    return (
        f"{number:{width}}: {_place(end.ip, end.port, family)} {_place(ip, port, family)} {one.state:02X} "
        f"{sending:08X}:{one.waiting:08X} 00:00000000 00000000 {owner:5} {0:8} {one.number}"
    )


def _tcp(family: int) -> Callable[[LinuxTask], bytes]:
    def render(task: LinuxTask) -> bytes:
        rows = [(_HEAD if family == AF_INET else _HEAD6).ljust(149 if family == AF_INET else 0)]
        for number, one in enumerate(inet_sockets(task.network, family, SOCK_STREAM)):
            rest = f" 1 {0:016x} {'100 0 0 10 0' if one.state == LISTEN else '20 0 0 10 -1'}"
            if one.rests:
                rest = f" 3 {0:016x}"
            row = _row(task, number, one, family, 4) + rest
            rows.append(row.ljust(149) if family == AF_INET else row)
        return "".join(row + "\n" for row in rows).encode()

    return render


def _udp(family: int) -> Callable[[LinuxTask], bytes]:
    def render(task: LinuxTask) -> bytes:
        head = (" " + _HEAD if family == AF_INET else _HEAD6) + " ref pointer drops"
        rows = [head.ljust(127 if family == AF_INET else 0)]
        for one in inet_sockets(task.network, family, SOCK_DGRAM):
            drops = getattr(one.end, "drops", 0)
            row = f"{_row(task, one.end.port, one, family, 5)} 2 {0:016x} {drops}"
            rows.append(row.ljust(127) if family == AF_INET else row)
        return "".join(row + "\n" for row in rows).encode()

    return render


def _unix(task: LinuxTask) -> bytes:
    text = b"Num       RefCount Protocol Flags    Type St Inode Path\n"
    for end in unix_sockets(task.network):
        listens = end.state == LISTEN
        state = 3 if end.state == ESTABLISHED or (end.peer is not None and not listens) else 1
        path = b""
        if end.address is not None:
            path = b" " + (end.address.rstrip(b"\0") if end.address[0] else b"@" + end.address[1:].replace(b"\0", b"@"))
        text += b"%016x: %08X %08X %08X %04X %02X %5d%s\n" % (
            0, 3 if end.peer is not None else 2, 0, 0x10000 if listens else 0, end.kind, state, end.number, path,
        )  # fmt: skip
    return text


def _dev(task: LinuxTask) -> bytes:
    received = "bytes    packets errs drop fifo frame compressed multicast"
    sent = "bytes    packets errs drop fifo colls carrier compressed"
    head = f"Inter-|   {'Receive':<55}|  Transmit\n face |{received}|{sent}\n"
    counts = f"{0:8} {0:7} {0:4} {0:4} {0:4}"
    return f"{head}    lo:{counts} {0:5} {0:10} {0:9} {counts} {0:5} {0:7} {0:10}\n".encode()


def _if_inet6(task: LinuxTask) -> bytes:
    return b"%s 01 80 10 80 %8s\n" % (b"0" * 31 + b"1", b"lo") if task.network.up else b""


def _sockstat(task: LinuxTask) -> bytes:
    network = task.network
    tcp = [*inet_sockets(network, AF_INET, SOCK_STREAM)]
    udp = [*inet_sockets(network, AF_INET, SOCK_DGRAM)]
    rests = sum(one.rests for one in tcp)
    return (
        f"sockets: used {len(network.endpoints)}\nTCP: inuse {len(tcp) - rests} orphan 0 tw {rests} "
        f"alloc {len(tcp) - rests} mem 0\nUDP: inuse {len(udp)} mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\n"
        "FRAG: inuse 0 memory 0\n"
    ).encode()


_ROUTES = b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
_SNMP = (
    b"Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs "
    b"OutSegs RetransSegs InErrs OutRsts InCsumErrors\nTcp: 1 200 120000 -1 0 0 0 0 0 0 0 0 0 0 0\n"
    b"Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n"
    b"Udp: 0 0 0 0 0 0 0 0 0\n"
)
_EMPTY = {
    b"route": _ROUTES.ljust(127) + b"\n",
    b"arp": b"IP address       HW type     Flags       HW address            Mask     Device\n",
    b"packet": b"sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n",
    b"netlink": b"sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n",
    b"snmp": _SNMP,
    b"raw": _HEAD.encode() + b" ref pointer drops\n",
    b"raw6": _HEAD6.encode() + b" ref pointer drops\n",
}
"""What has nothing in it but its first line."""


def net_directory(path: bytes) -> StaticDir:
    """/proc/PID/net."""
    told: dict[bytes, Callable[[LinuxTask], bytes]] = {
        b"dev": _dev,
        b"if_inet6": _if_inet6,
        b"sockstat": _sockstat,
        b"tcp": _tcp(AF_INET),
        b"tcp6": _tcp(AF_INET6),
        b"udp": _udp(AF_INET),
        b"udp6": _udp(AF_INET6),
        b"unix": _unix,
    }
    for name, text in _EMPTY.items():
        told[name] = lambda task, text=text: text  # type: ignore[misc]
    nodes: dict[bytes, Node] = {
        name: TextNode(path + b"/" + name, render, splices=True) for name, render in sorted(told.items())
    }
    return StaticDir(path, nodes)
