# ruff: noqa: E501 - programs of one line
"""How much of what was sent is there at once: SO_RCVLOWAT for every call that reads, datagrams of several sends (MSG_MORE,
UDP_CORK), how much more there is (TCP_INQ)."""

from __future__ import annotations

import shutil

import pytest

from ..conftest import run_guest, run_host

LEAST = r"""
import errno, os, signal, socket, threading, time
def pair(kind):
    if kind == "unix": return socket.socketpair()
    l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen(); a = socket.create_connection(l.getsockname()); b, _ = l.accept(); return a, b
def readv(b):
    x, y = bytearray(3), bytearray(100); n = os.readv(b.fileno(), [x, y]); return bytes(x + y)[:n]
WAYS = {"recv": lambda b: b.recv(100), "read": lambda b: os.read(b.fileno(), 100), "readv": readv, "recvmsg": lambda b: b.recvmsg(100)[0],
        "peek": lambda b: b.recv(100, socket.MSG_PEEK), "few": lambda b: os.read(b.fileno(), 3), "all": lambda b: b.recv(6, socket.MSG_WAITALL)}
for kind in "unix", "tcp":
    for how, get in WAYS.items():
        a, b = pair(kind)
        b.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 5)
        got = []
        t = threading.Thread(target=lambda: got.append(get(b)))
        t.start()
        a.send(b"a"); time.sleep(0.03); a.send(b"b"); time.sleep(0.05)
        early = bool(got)
        a.send(b"cdefg"); t.join(60)
        print(kind, how, early, got)
        a.send(b"x"); a.shutdown(socket.SHUT_WR)
        print(os.read(b.fileno(), 100))
        a.close(); b.close()
    a, b = pair(kind)
    b.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 5); b.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, b"\0" * 8 + (50000).to_bytes(8, "little"))
    a.send(b"xy"); print(kind, os.read(b.fileno(), 9))
    try: os.read(b.fileno(), 9)
    except OSError as e: print(errno.errorcode[e.errno])
    b.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bytes(16))
    signal.signal(signal.SIGALRM, lambda *_: None); signal.setitimer(signal.ITIMER_REAL, 0.1)
    a.send(b"pq"); print(os.read(b.fileno(), 9))
    b.setblocking(False); a.send(b"z"); time.sleep(0.02); print(os.read(b.fileno(), 9))
"""
TOGETHER = r"""
import fcntl, socket
for family, here in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
    a, b = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
    try: b.bind((here, 0))
    except OSError: continue
    b.setblocking(False); a.connect(b.getsockname())
    def got():
        try: return b.recv(99999)
        except OSError as e: return e.errno
    def send(*args):
        try: return a.sendto(*args)
        except OSError as e: return e.errno
    more, to = socket.MSG_MORE, b.getsockname()
    print(a.send(b"one", more), a.send(b"two", more), got(), a.send(b"three"), got(), got())
    a.setsockopt(17, 1, 1); print(a.getsockopt(17, 1), a.send(b"x"), a.send(b""), a.send(b"y"), got()); a.setsockopt(17, 1, 0); print(got(), got())
    a.setsockopt(17, 1, 0); print(got())
    print(a.send(b"1", more), fcntl.ioctl(a, 0x541B, bytes(4)), send(b"2", 0, (here, 9)), got())
    print(a.send(b"", more), got(), a.send(b""), got(), got())
    print(a.send(b"l" * 40000, more), send(b"m" * 40000, 0, to), send(b"n", 0, to), got())
    print(a.send(b"k", more)); a.connect(to); print(a.send(b"l"), got())
    print(a.send(b"k", more)); a.close(); print(got())
"""
LEFT = r"""
import socket
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen(); a = socket.create_connection(l.getsockname()); b, _ = l.accept()
b.setsockopt(6, 36, 1); a.send(b"hello")
print(b.recvmsg(2, 100), b.recvmsg(1, 100, socket.MSG_PEEK), b.recvmsg(10, 100)); a.send(b"z"); a.shutdown(socket.SHUT_WR)
print(b.recvmsg(1), b.recvmsg(10, 100), b.recv(9)); b.setsockopt(6, 36, 0); print(b.recvmsg(1, 100))
"""


@pytest.mark.skipif(shutil.which("python3", path="/usr/bin") is None, reason="needs python3")
@pytest.mark.parametrize("script", [LEAST, TOGETHER, LEFT], ids=["least", "together", "left"])
def test_as_much_is_there_at_once_as_on_the_host(script: str) -> None:
    command = ["/usr/bin/python3", "-S", "-c", script]
    host = run_host(*command)
    assert host.status == 0, host
    assert run_guest(*command).stdout == host.stdout
