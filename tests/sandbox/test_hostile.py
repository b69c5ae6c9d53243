"""Programs that are out to harm, against the defaults: each is stopped with a clear result, and the sandbox goes on.

The limits are smaller than by default, so that reaching them takes seconds; what must hold depends on no time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import pytest

from axptr import Sandbox
from axptr.sandbox import Limits, Result

SMALL = Limits(time=4, memory=128 << 20, disk=16 << 20, output=1 << 20, processes=64, open_files=256)


class Attack(NamedTuple):
    """program: of Python, or of the shell. ends: limits that may end it; empty where it ends by itself. said: what it
    prints then."""

    program: str
    ends: tuple[str | None, ...] = ()
    said: str = ""
    shell: bool = False


ATTACKS = {
    "fork bomb": Attack("b() { b|b& }; b; while :; do :; done", ("time",), shell=True),
    "forks": Attack("import os\nwhile 1:\n  try: os.fork()\n  except OSError: pass", ("time",)),
    "threads": Attack(
        "import threading, time\nn = 0\ntry:\n  while 1: threading.Thread(target=time.sleep, args=(9999,), daemon=True)"
        ".start(); n += 1\nexcept RuntimeError: print(n < 64)",
        said="True\n",
    ),
    "disk": Attack("cat /dev/zero > /tmp/x; stat -c %s /tmp/x", said="16", shell=True),
    "small files": Attack(
        "import itertools\ntry:\n  for n in itertools.count(): open(f'/tmp/{n}', 'w').write('x')\n"
        "except OSError as e: print(e.errno)",
        ("time", None),
        said="28\n",
    ),
    "sparse file": Attack("truncate -s 100T /tmp/s && cp --sparse=never /tmp/s /tmp/t", said="", shell=True),
    "shared memory": Attack(
        "f = open('/dev/shm/x', 'wb')\ntry:\n  while 1: f.write(bytes(1 << 20)); f.flush()\n"
        "except OSError as e: print(e.errno)",
        said="28\n",
    ),
    "output": Attack("yes", ("output",), shell=True),
    "errors": Attack("yes >&2", ("output",), shell=True),
    "loop": Attack("while True: pass", ("time",)),
    "sleep": Attack("sleep 100000", ("time",), shell=True),
    "a stop": Attack("kill -STOP $$; sleep 100000", ("time",), shell=True),
    "ignored signals": Attack(
        "import signal\nfor n in range(1, 65):\n  try: signal.signal(n, signal.SIG_IGN)\n"
        "  except (OSError, ValueError): pass\nwhile 1: pass",
        ("time",),
    ),
    "memory": Attack("a = []\nwhile 1: a.append(bytearray(1 << 20))"),
    "touched memory": Attack(
        "import mmap\nm = mmap.mmap(-1, 4 << 30)\nfor i in range(0, 4 << 30, 4096): m[i] = 1", ("memory", "time")
    ),
    "pipes": Attack(
        "import os\na = []\ntry:\n  while 1:\n    a += os.pipe(); os.set_blocking(a[-1], False)\n"
        "    os.write(a[-1], bytes(65536))\n"
        "except OSError as e: print(e.errno in (23, 24))",
        said="True\n",
    ),
    "sockets": Attack(
        "import socket\na = []\ntry:\n  while 1:\n    a += socket.socketpair()\n"
        "    a[-1].setblocking(0); a[-1].send(bytes(1 << 17))\n"
        "except OSError as e: print(e.errno in (12, 24, 105))",
        said="True\n",
    ),
    "semaphores": Attack(
        "import ctypes\nl = ctypes.CDLL(None, use_errno=True)\nwhile l.semget(0, 32000, 0o1600) >= 0: pass\n"
        "print(ctypes.get_errno())",
        said="12\n",
    ),
    "everybody killed": Attack("sleep 100 & kill -9 -1; echo survived", said="survived\n", shell=True),
    "links in a circle": Attack("ln -s a b; ln -s b a; cat a", shell=True),
    "the kernel": Attack(
        "cat /proc/kcore /dev/mem /dev/sda; mount -t proc p /mnt; echo b > /proc/sysrq-trigger; chroot /tmp; exit 7",
        shell=True,
    ),
}


def attack(box: Sandbox, what: Attack) -> Result:
    return box.run(["sh", "-c", what.program] if what.shell else ["python3", "-c", what.program])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_stopped_and_the_sandbox_goes_on(name: str, engine: str) -> None:
    what = ATTACKS[name]
    with Sandbox(limits=SMALL, engine=engine) as box:
        result = attack(box, what)
        if what.ends:
            assert result.limit in what.ends, result
        else:
            assert result.limit in (None, "time"), result  # where the host is slow
        if result.limit is None:
            assert what.said in result.text
        assert len(result.stdout) <= 1 << 20
        assert len(result.stderr) <= 1 << 20
        box.end_all()
        assert box.processes == []
        box.files.remove("/tmp", recursive=True)
        box.files.mkdir("/tmp", mode=0o1777)
        box.files.remove("/dev/shm/x") if box.files.exists("/dev/shm/x") else None
        again = box.run("echo fine", timeout=200)
        assert again.text == "fine\n", again


def test_a_network_scan_reaches_nobody_and_is_told_of(engine: str) -> None:
    program = "import socket\nfor n in range(1, 50):\n  print(socket.socket().connect_ex((f'10.0.0.{n}', 22)))"
    with Sandbox(engine=engine) as box:
        result = box.run(["python3", "-c", program])
        assert set(result.text.split()) == {"101"}
        assert [denied.subject for denied in result.denied][:2] == ["10.0.0.1:22", "10.0.0.2:22"]
        assert len(result.denied) == 49


def test_nothing_of_the_host_can_be_looked_at_by_numbers_of_processes(engine: str) -> None:
    with Sandbox(engine=engine) as box:
        for number in (1, os.getpid(), os.getppid()):
            place = f"/proc/{number}"
            result = box.run(f"cat {place}/environ {place}/cmdline {place}/maps; ls {place}/root/")
            assert b"pytest" not in result.stdout + result.stderr
            assert not result.ok


def test_the_defaults_are_finite() -> None:
    limits = Limits()
    assert all(getattr(limits, name) is not None for name in Limits.__slots__ if name != "file_size")


def test_a_deep_directory_is_made_listed_and_gone(engine: str) -> None:
    program = "import os\nfor n in range(2000): os.mkdir('d'); os.chdir('d')"
    with Sandbox(engine=engine) as box:
        box.run(["python3", "-c", program], check=True)
        assert [change.path.count("/d") for change in box.changes()] == list(range(1, 2001))
        box.files.remove("d", recursive=True)
        assert box.changes() == []


def test_a_name_that_a_program_made_up_is_a_name(engine: str, make: Callable[..., Sandbox]) -> None:
    box = make(engine=engine)
    box.run("touch '/tmp/\n' \"$(printf '/tmp/\\377')\" '/tmp/-rf *'", check=True)
    assert sorted(entry.name for entry in box.files.list("/tmp")) == sorted(["\n", "\udcff", "-rf *"])
    for entry in box.files.list("/tmp"):
        box.files.remove(f"/tmp/{entry.name}")
    assert box.files.list("/tmp") == []
