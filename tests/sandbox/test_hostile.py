"""Programs that are out to harm, against the defaults: each is stopped with a clear result, and the sandbox goes on.

The limits are smaller than by default, so that reaching them takes seconds; what must hold depends on no time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
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

_C = "import ctypes, os, mmap, errno\nl = ctypes.CDLL(None, use_errno=True)\ne = ctypes.get_errno\n"
ATTACKS |= {
    "descriptors": Attack(
        "import os\na = []\ntry:\n  while 1: a.append(os.open('/', 0))\n"
        "except OSError as e: print(e.errno, len(a) < 256)",
        said="24 True\n",
    ),
    "descriptors of every child": Attack(
        "import os, time\nwhile 1:\n  try:\n    if not os.fork():\n      try:\n        while 1: os.dup(0)\n"
        "      except OSError: time.sleep(9999)\n  except OSError: break\nprint('full')",
        ("time", None),
        said="full\n",
    ),
    "epolls in epolls": Attack(
        "import select\na = [select.epoll()]\ntry:\n  while 1:\n    p = select.epoll()\n"
        "    p.register(a[-1].fileno()); a.append(p)\n"
        "except OSError as e: print(e.errno in (22, 24, 40))",
        said="True\n",
    ),
    "inotify": Attack(
        _C + "f = l.inotify_init()\nn = 0\nos.mkdir('w')\ntry:\n  while n < 200000:\n"
        "    os.mkdir(f'w/{n}')\n    if l.inotify_add_watch(f, b'w/%d' % n, 0xfff) < 0: break\n    n += 1\n"
        "except OSError: pass\nprint(n < 200000)",
        ("time", None),
        said="True\n",
    ),
    "inotify's events": Attack(
        _C + "f = l.inotify_init1(0o4000)\nl.inotify_add_watch(f, b'.', 0xfff)\n"
        "for n in range(20000): open('a' if n % 2 else 'b', 'w').close()\n"
        "got = 0\ntry:\n  while 1: got += len(os.read(f, 65536))\nexcept BlockingIOError: print(0 < got < 1 << 20)",
        ("time", None),
        said="True\n",
    ),
    "timers": Attack(
        _C + "t = ctypes.c_int()\nn = 0\nwhile n < 100000 and not l.timer_create(1, None, ctypes.byref(t)): n += 1\n"
        "print(n < 100000, e() == errno.EAGAIN)",
        ("time", None),
        said="True True\n",
    ),
    "fast timers": Attack(
        "import signal\nsignal.signal(signal.SIGALRM, lambda *a: None)\nsignal.setitimer(0, 1e-6, 1e-6)\nwhile 1: pass",
        ("time",),
    ),
    "signals queued": Attack(
        _C + "import signal\nsignal.pthread_sigmask(0, {40})\nn = 0\n"
        "while n < 100000 and not l.sigqueue(os.getpid(), 40, None): n += 1\nprint(n < 100000, e() == errno.EAGAIN)",
        ("time", None),
        said="True True\n",
    ),
    "signal storm": Attack(
        "import os, signal\nsignal.signal(10, lambda *a: None)\np = os.getpid()\nfor _ in range(3):\n"
        "  if not os.fork(): \n    while 1: os.kill(p, 10)\nwhile 1: pass",
        ("time",),
    ),
    "message queues": Attack(
        _C + "n = 0\nwhile n < 100000 and l.msgget(0, 0o1600) >= 0: n += 1\nprint(n < 100000)",
        ("time", None),
        said="True\n",
    ),
    "messages": Attack(
        _C + "q = l.msgget(0, 0o1600)\nb = (8).to_bytes(8, 'little') + bytes(8000)\nn = 0\n"
        "while n < 100000 and not l.msgsnd(q, b, 8000, 0o4000): n += 1\nprint(n < 100000)",
        ("time", None),
        said="True\n",
    ),
    "segments": Attack(
        _C + "n = 0\nl.shmat.restype = ctypes.c_void_p\nwhile n < 100000:\n  i = l.shmget(0, 1 << 20, 0o1600)\n"
        "  if i < 0: break\n  a = l.shmat(i, None, 0)\n  if a in (None, 2**64 - 1): break\n"
        "  ctypes.memset(ctypes.c_void_p(a), 1, 1 << 20); n += 1\nprint(n)",
        ("time", "memory", None),
    ),
    "POSIX queues": Attack(
        _C + "n = 0\nwhile n < 100000 and l.mq_open(b'/q%d' % n, 0o102, 0o600, None) >= 0: n += 1\nprint(n < 100000)",
        ("time", None),
        said="True\n",
    ),
    "files in memory": Attack(
        _C
        + "try:\n  while 1:\n    f = os.memfd_create('x'); os.truncate(f, 1 << 40)\n    os.write(f, bytes(1 << 20))\n"
        "except OSError as x: print(x.errno in (12, 24, 28))",
        ("time", None),
        said="True\n",
    ),
    "areas": Attack(
        _C + "l.mmap.restype = ctypes.c_void_p\nn = 0\nwhile n < 200000:\n"
        "  if l.mmap(None, 4096, 1 + n % 2 * 2, 0x22, -1, 0) == 2**64 - 1: break\n  n += 1\nprint(n < 65530, e())",
        ("time", None),
        said="True 12\n",
    ),
    "address space": Attack(
        "import mmap\na = []\ntry:\n  for _ in range(1 << 20): a.append(mmap.mmap(-1, 1 << 40, flags=0x4022))\n"
        "except (OSError, ValueError) as e: print('over')",
        ("time", "memory", None),
        said="over\n",
    ),
    "sparse archive": Attack(
        "truncate -s 50G s && tar -cSf s.tar s && mkdir x && tar -xf s.tar -C x && "
        "gzip -9 < /dev/zero | head -c 1000000 > z; "
        "tar -xf s.tar -O | head -c 100 > /dev/null; cat x/s x/s > y",
        ("time", None),
        shell=True,
    ),
    "vfork storm": Attack("while :; do /bin/true & done", ("time",), shell=True),
    "exec for ever": Attack('exec sh -c \'exec sh -c "$0" "$0"\' \'exec sh -c "$0" "$0"\'', ("time",), shell=True),
    "its own limits": Attack(
        _C
        + "import resource as r\nn = 0\nfor k in range(16):\n  try:\n    r.setrlimit(k, (-1, -1)); n += k in (6, 7)\n"
        "  except (OSError, ValueError): pass\n"
        "a = []\ntry:\n  while len(a) < 5000: a.append(os.open('/', 0))\nexcept OSError: pass\n"
        "pids = 0\ntry:\n  while pids < 500:\n    if not os.fork(): l.pause()\n    pids += 1\n"
        "except OSError: print('no more', pids < 64)",
        ("time", None),
        said="no more True\n",
    ),
    "its kin traced": Attack(
        _C + "import time\nc = os.fork()\nif not c:\n  while 1: time.sleep(1)\n"
        "l.ptrace.argtypes = [ctypes.c_long] * 4\nprint(l.ptrace(16, c, 0, 0)); os.waitpid(c, 0)\n"
        "while 1: l.ptrace(24, c, 0, 0); os.waitpid(c, 0)",
        ("time",),
    ),
    "a tracer in a circle": Attack(
        _C + "l.ptrace.argtypes = [ctypes.c_long] * 4\np = os.getpid()\nif not os.fork():\n"
        "  print(l.ptrace(16, os.getpid(), 0, 0), l.ptrace(16, 1, 0, 0), flush=True); os._exit(0)\nos.wait()",
        said="-1 -1\n",
    ),
    "directories in a circle": Attack(
        "mkdir -p a/b && ln -s ../.. a/b/up && mv a a/b/c; find -L . | wc -l; "
        "ls -R . > /dev/null; du -L . >/dev/null; true",
        shell=True,
    ),
    "a long path of links": Attack(
        "d=/tmp/x; mkdir $d; for i in $(seq 50); do ln -s l$((i+1))/l$((i+1)) $d/l$i; "
        "done; ln -s . $d/l51; cat $d/l1/x",
        shell=True,
    ),
    "links without end": Attack(
        "import os, itertools\nopen('x', 'w').close()\ntry:\n  for n in itertools.count(): os.link('x', 'y%d' % n)\n"
        "except OSError as e: print(e.errno in (28, 31))",
        ("time", None),
        said="True\n",
    ),
    "attributes": Attack(
        "import os\nopen('x', 'w').close()\ntry:\n"
        "  for n in range(1 << 20): os.setxattr('x', 'user.%d' % n, bytes(60000))\n"
        "except OSError as e: print(e.errno in (7, 28, 95, 122))",
        ("time", None),
        said="True\n",
    ),
    "locks": Attack(
        "import fcntl\nf = open('x', 'w')\ntry:\n  for n in range(1 << 20): fcntl.lockf(f, fcntl.LOCK_EX, 1, n * 2)\n"
        "  print('all')\nexcept OSError as e: print(e.errno == 37)",
        ("time", "memory", None),
    ),
    "a pipe in a circle": Attack("mkfifo p; cat < p | cat > p & cat < p > p & sleep 1000", ("time",), shell=True),
    "descriptors in sockets": Attack(
        "import socket, array\na = socket.socketpair()\na[0].setblocking(0)\nn = 0\ntry:\n  while n < 100000:\n"
        "    b = socket.socketpair()\n"
        "    a[0].sendmsg([b'x'], [(1, 1, array.array('i', [b[0].fileno(), b[1].fileno()] * 100))]); n += 1\n"
        "except OSError as e: print(e.errno in (11, 24, 105, 109))",
        ("time", None),
        said="True\n",
    ),
    "ports": Attack(
        "import socket\na = []\ntry:\n  while 1:\n"
        "    s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); a.append(s)\n"
        "except OSError as e: print(e.errno)",
        said="24\n",
    ),
    "terminals": Attack(
        "import os\na = []\ntry:\n  while 1: a.append(os.openpty())\nexcept OSError as e: print(e.errno in (24, 28))",
        said="True\n",
    ),
    "futexes": Attack(
        "import threading\nl = threading.Lock(); l.acquire()\ndef f():\n  while not l.acquire(timeout=1e-6): pass\n"
        "for _ in range(20): threading.Thread(target=f, daemon=True).start()\nf()",
        ("time",),
    ),
    "a long environment": Attack(
        "import os\ntry: os.execve('/bin/true', ['x'], {str(n): 'y' * 100000 for n in range(200)})\n"
        "except OSError as e: print(e.errno)",
        said="7\n",
    ),
    "arguments that grow": Attack(
        "a=x; while :; do a=$a$a; /bin/true $a 2>/dev/null; done", ("time", "memory", None), shell=True
    ),
    "a program of nothing": Attack(
        "head -c 100000 /dev/urandom > x; chmod +x x; ./x; printf '\\177ELF' > y; chmod +x y; ./y", shell=True
    ),
    "a script of itself": Attack(
        "printf '#!/root/a\\n' > a; printf '#!/root/b\\n' > b; chmod +x a b; ./a; ./b", shell=True
    ),
    "orphans": Attack(
        "import os\nwhile 1:\n  try:\n    if not os.fork():\n      os.setsid()\n      if os.fork(): os._exit(0)\n"
        "  except OSError: pass",
        ("time",),
    ),
    "zombies": Attack(
        "import os\nn = 0\ntry:\n  while n < 5000:\n    if not os.fork(): os._exit(0)\n    n += 1\n"
        "except OSError as e: print(n < 64, e.errno)",
        ("time", None),
        said="True 11\n",
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
        box.files.remove("/root", recursive=True)
        box.files.mkdir("/root", mode=0o700)
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
            assert number == 1 or not result.ok  # the machine has a process 1 of its own


WALK = """
import os, stat
for top in ('/proc', '/sys'):
    for here, directories, names in os.walk(top):
        for name in directories + names:
            path = os.path.join(here, name)
            print(path)
            try:
                kind = os.lstat(path).st_mode
                if stat.S_ISLNK(kind):
                    print(os.readlink(path))
                elif stat.S_ISREG(kind):
                    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                    print(os.read(fd, 1 << 16))
                    os.close(fd)
            except OSError:
                pass
print(os.uname(), dict(os.environ))
"""


SECRET = "which only this test has in its environment"


def facts() -> dict[str, str]:
    """What is this host's alone, by where it stands there; short words may stand anywhere."""

    def read(path: str) -> str:
        try:
            return Path(path).read_text(errors="replace")
        except OSError:
            return ""

    found = {"hostname": os.uname().nodename.removeprefix("localhost"), "variable": SECRET}
    for path in (
        "/proc/sys/kernel/random/boot_id",
        "/etc/machine-id",
        "/sys/class/dmi/id/product_uuid",
        "/proc/version",
    ):
        found[path] = read(path).strip()
    for number, word in enumerate(read("/proc/cmdline").split()):
        found[f"/proc/cmdline {number}"] = word if "=" in word else ""
    for name in os.listdir("/sys/class/net"):
        address = read(f"/sys/class/net/{name}/address").strip()
        found[f"address of {name}"] = "" if set(address) <= set("0:f") else address
    here = os.getcwd()
    found["directory"] = "" if here.startswith(("/usr", "/root", "/tmp", "/var")) else here
    return {name: text for name, text in found.items() if len(text) >= 8}


def test_no_file_of_proc_or_sys_tells_what_is_the_hosts_alone(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AXPTR_SECRET", SECRET)
    own = facts()
    assert own
    with Sandbox(engine=engine) as box:
        told = box.run(["python3", "-S", "-c", WALK], check=True).text
        assert told.count("\n") > 500
        assert [name for name, text in own.items() if text in told] == []
        processes = {int(name) for name in re.findall(r"^/proc/(\d+)$", told, re.MULTILINE)}
        assert len(processes) == 2  # its own, and the first


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
