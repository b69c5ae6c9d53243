"""What cannot go along with a snapshot is refused by its name, or left out where that was asked for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from axptr import Sandbox
from axptr.errors import SnapshotError
from axptr.linux import PIPE, Linux, MachineSnapshot

from .test_branch import ask

GUEST = r"""
import errno, os, select, signal, socket, sys, threading
port = int(sys.argv[1])
def told(call):
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno]
idle = socket.create_connection(("127.0.0.1", port))
busy = socket.create_connection(("127.0.0.1", port))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect(("127.0.0.1", port))
server = socket.create_server(("127.0.0.1", 0))
watch = select.epoll()
watch.register(idle, select.EPOLLIN)
heard, seen = [], []
listening = threading.Thread(target=lambda: heard.append(told(lambda: busy.recv(9))))
watching = threading.Thread(target=lambda: seen.append(len(watch.poll())))
listening.start(); watching.start()
print("ready", flush=True)
sys.stdin.readline()
listening.join(); watching.join()
print(heard, seen, flush=True)
read, write = lambda s: told(lambda: s.recv(9)), lambda s: told(lambda: s.send(b"x"))
for s in (idle, busy):
    s.setblocking(False)
print([told(idle.getpeername), read(idle), read(idle), write(idle)])
print([read(busy), write(busy)], flush=True)
if read(idle) == "EAGAIN":
    sys.exit()
print([write(udp), read(udp)])
print([told(lambda: server.accept()), sorted(server.getsockopt(*one) for one in [(1, 3), (1, 2)])], flush=True)
again = told(lambda: socket.create_connection(("127.0.0.1", port)).close())
print("again", again, flush=True)
"""
DROPPED = b"""['ECONNRESET'] [1]
['ENOTCONN', 'ECONNRESET', b'', 'EPIPE']
[b'', 'EPIPE']
['ENETUNREACH', b'']
['EINVAL', [1, 1]]
again None
"""
FILES = r"""
import os, sys, errno
def told(call):
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno]
reader = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
writer = os.open(sys.argv[1], os.O_WRONLY)
print("ready", flush=True)
sys.stdin.readline()
print([told(lambda: os.write(writer, b"word")), told(lambda: os.read(reader, 9))], flush=True)
"""
ELSEWHERE = """
import sys
from axptr.linux import Linux, MachineSnapshot

with Linux.from_snapshot(MachineSnapshot.load(sys.argv[1])) as machine:
    process = machine.process()
    process.stdin.feed(b"\\n", last=True)
    assert process.wait().exit_code == 0
    sys.stdout.buffer.write(process.stdout.take())
"""


def rest(machine: Linux) -> bytes:
    process = machine.process()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.feed(b"\n")
    assert process.wait().exit_code == 0
    return process.stdout.take()


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture(params=["native", "unicorn"])
def machine(request, listener):
    port = listener.getsockname()[1]
    with Linux(engine=request.param, overlay=True, net="host", env={"PATH": "/usr/bin:/bin"}) as linux:
        linux.spawn(["python3", "-S", "-c", GUEST, str(port)], stdin=PIPE, stdout=PIPE, stderr=2)
        assert ask(linux) == b"ready\n"
        tasks = linux.machine.tasks
        assert linux.run_until(lambda: len(tasks) == 3 and all(task.blocked is not None for task in tasks.values()))
        yield linux


def test_connections_are_refused_or_reset_in_every_copy(machine, listener, tmp_path):
    with pytest.raises(SnapshotError, match="connection"):
        machine.snapshot()
    with pytest.raises(SnapshotError, match="connection"):
        machine.snapshot(drop=["files"])
    idle, _ = listener.accept()
    busy, _ = listener.accept()
    with idle, busy:
        snap = machine.snapshot(drop=["connections"])
        snap.save(tmp_path / "saved")
        for _ in range(2):
            with Linux.from_snapshot(snap) as copy:
                assert rest(copy) == DROPPED
        elsewhere = [sys.executable, "-c", ELSEWHERE, tmp_path / "saved"]
        done = subprocess.run(elsewhere, capture_output=True, check=False)
        assert done.stdout == DROPPED, done.stderr
        # The machine itself goes on with them, until it is put back.
        busy.send(b"there")
        idle.send(b"word")
        answer = rest(machine).splitlines()
        assert answer[0] == b"[b'there'] [1]"
        for _ in range(2):
            machine.restore(snap)
            assert rest(machine) == DROPPED


def test_a_restore_ends_the_connections_themselves(machine, listener):
    idle, _ = listener.accept()
    busy, _ = listener.accept()
    with idle, busy:
        machine.restore(machine.snapshot(drop="connections"))
        idle.settimeout(60)
        busy.settimeout(60)
        assert idle.recv(9) == busy.recv(9) == b""
        assert rest(machine) == DROPPED


@pytest.mark.parametrize("engine", ["native", "unicorn"])
def test_the_other_end_of_a_file_is_closed(engine, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    mine = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    try:
        with Linux(engine=engine, allow_write=[str(tmp_path)], env={"PATH": "/usr/bin:/bin"}) as linux:
            linux.spawn(["python3", "-S", "-c", FILES, str(fifo)], stdin=PIPE, stdout=PIPE, stderr=2)
            assert ask(linux) == b"ready\n"
            snap = linux.snapshot(drop=["files", "connections"])
            copy = Linux.from_snapshot(snap)
            answer = rest(copy)
            copy.close()
            assert rest(linux) == b"[4, b'word']\n"
            linux.restore(snap)
            assert rest(linux) == answer
    finally:
        os.close(mine)
    assert answer in (b"['EPIPE', b'']\n", b"[4, b'word']\n")


def test_only_what_there_is_can_be_dropped():
    with Sandbox() as box:
        with pytest.raises(ValueError, match="'sockets' is nothing that can be dropped"):
            box.snapshot(drop=["sockets"])
        snap = box.snapshot(drop=["connections", "files"])
        with Sandbox.from_snapshot(snap) as other:
            assert other.run("echo hi").stdout == b"hi\n"
        assert isinstance(snap, MachineSnapshot)
        (branch,) = box.branch(drop="files")
        branch.close()
