# ruff: noqa: E501 - programs of one line
"""A machine may be put back or branched wherever it stands: what it does from there is what it would have done.

Programs that print the same each time are stopped at points by the clock, which nobody chose. Half of them have functions that look
at their calls; half of the branches go on for a while and are branched themselves. The long form, 200 points:
`pytest -m slow tests/linux/snapshots/test_points.py`, others with `--first-seed 10`.
"""

from __future__ import annotations

import os
import random
import shutil
import time

import pytest

import engines
from axptr.linux import PIPE, Linux, Policy, Tmpfs

PYTHON_THREADS = """
import queue, threading
q, out = queue.Queue(), queue.Queue()
def work():
    while (n := q.get()) is not None:
        out.put(n * n)
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads: t.start()
for n in range(300): q.put(n)
for t in threads: q.put(None)
for t in threads: t.join()
print(sum(out.get() for _ in range(300)))
"""
PYTHON_CHILDREN = """
import os, subprocess, sys
for i in range(4):
    p = subprocess.Popen(["sort", "-r"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    print(p.communicate(b"a%d\\nb\\nc\\n" % i)[0].split())
r, w = os.pipe()
if not os.fork():
    os.write(w, b"from the child"); os._exit(3)
print(os.read(r, 99), os.waitstatus_to_exitcode(os.wait()[1]))
"""
PYTHON_POLLS = """
import os, select, signal, socket, threading, time
e = select.epoll()
a, b = socket.socketpair()
c = os.eventfd(0)
e.register(b, select.EPOLLIN); e.register(c, select.EPOLLIN)
hits = []
signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.02)
def feed():
    for i in range(20):
        a.send(b"%d" % i); time.sleep(0.001)
    os.eventfd_write(c, 7)
t = threading.Thread(target=feed); t.start()
got = b""
while True:
    ready = dict(e.poll())
    if b.fileno() in ready: got += b.recv(999)
    elif c in ready: break
t.join()
while not hits: time.sleep(0.001)
print(got, os.eventfd_read(c), len(hits))
"""
PYTHON_ASYNC = """
import asyncio
async def one(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper()); await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(one, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async def client(n):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        got = []
        for i in range(5):
            writer.write(b"c%d %d\\n" % (n, i)); await writer.drain()
            got.append(await reader.readline())
        writer.close()
        return got
    for got in await asyncio.gather(*(client(n) for n in range(4))):
        print(got)
    server.close()
asyncio.run(main())
"""
PYTHON_COMPUTES = """
import hashlib
h = hashlib.sha256()
d = {}
for i in range(60000):
    d[i % 997] = d.get(i % 997, 0) * 31 + i & 0xFFFFFF
    if not i % 100: h.update(repr(sorted(d.items())[:5]).encode())
print(h.hexdigest())
"""
MAKEFILE = """all: a b c; cat a b c
a b c: ; echo $@; echo $@ > $@
"""
PROGRAMS = {
    "pipes": ["sh", "-c", "for i in 1 2 3 4 5 6; do echo $i | sed s/^/x/ | tr x y; done; echo $(echo a | cat | cat)"],
    "jobs": ["bash", "-c", "for i in 1 2 3 4; do (echo $i | cat > f$i; exit $i) & all=\"$all $!\"; done; for p in $all; do wait $p; echo $?; done; cat f*"],
    "trap": ["bash", "-c", 'trap "echo usr" USR1; for i in 1 2 3; do kill -USR1 $$; done; trap "echo end" EXIT; cat <<X\nhere $((6*7))\nX\n'],
    "files": ["sh", "-c", "mkdir -p d/e; for i in 1 2 3 4 5; do echo $i >> d/e/f; ln -sf f d/e/l$i; done; mv d/e d/g; cat d/g/l3; ls d/g; rm -r d; ls"],
    "fifo": ["sh", "-c", "mkfifo p; (for i in 1 2 3 4; do echo line $i; done > p) & while read x; do echo got $x; done < p; wait"],
    "sort": ["sh", "-c", "seq 3000 | sort -r | sort -n | md5sum; seq 100 | shuf --random-source=/etc/passwd | sort -n | tail -1"],
    "tar": ["sh", "-c", "mkdir t; for i in 1 2 3 4 5 6; do seq $i 200 > t/$i; done; tar cf - t | gzip -n | gzip -dc | tar tf - | sort"],
    "awk": ["awk", 'BEGIN { for (i = 0; i < 3000; i++) a[i % 17] += i; n = asorti_(a); } function asorti_(a, k, s) { for (k = 0; k < 17; k++) s = s a[k] " "; print s; return 1 }'],
    "perl": ["perl", "-e", 'for my $i (1..5) { my $p = fork; if (!$p) { exit $i } waitpid $p, 0; print $? >> 8, "\\n" } pipe R, W; if (!fork) { print W "x" x 9000; exit } close W; print length(join "", <R>), "\\n"'],
    "find": ["sh", "-c", "find /usr/share/perl5 /usr/lib/python3 -type f 2>/dev/null | sort | head -50 | xargs -n 5 echo | md5sum"],
    "make": ["sh", "-c", 'echo "$MAKEFILE_TEXT" > Makefile; make -s -j2 > out; sort out'],
    "xz": ["sh", "-c", "seq 20000 > big; xz -T2 -k big; xz -dc big.xz | cmp - big && md5sum < big"],
    "sqlite": ["sqlite3", "x.db", "create table t(a, b); with recursive c(x) as (select 1 union all select x+1 from c where x < 500) insert into t select x, x*x from c; select sum(b), count(*) from t;"],
    "git": ["sh", "-c", "git init -q . && echo a > a && git add a && git -c user.name=n -c user.email=e commit -q -m m && git log --format=%s && git status -s"],
    "threads": ["python3", "-S", "-c", PYTHON_THREADS],
    "children": ["python3", "-S", "-c", PYTHON_CHILDREN],
    "polls": ["python3", "-S", "-c", PYTHON_POLLS],
    "async": ["python3", "-S", "-c", PYTHON_ASYNC],
    "computes": ["python3", "-S", "-c", PYTHON_COMPUTES],
    "traced": ["sh", "-c", "strace -f -q -o t sh -c 'for i in 1 2 3; do echo $i | cat; done; kill -USR1 $$'; echo $?; grep -c 'exited with' t; grep -c 'killed by SIGUSR1' t"],
    "traced threads": ["sh", "-c", 'strace -f -qq -e trace=none -o t python3 -S -c "$THREADS_TEXT"; echo $?'],
    "terminal": ["script", "-qec", "echo on a terminal; test -t 0 && echo yes; stty size", "/dev/null"],
}  # fmt: skip
NEEDS = {"make": ("make",), "xz": ("xz",), "git": ("git",), "traced": ("strace",), "traced threads": ("strace",)}
ENV = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",
    "LC_ALL": "C",
    "MAKEFILE_TEXT": MAKEFILE,
    "THREADS_TEXT": PYTHON_THREADS,
}


def looked_at() -> Policy:
    """A policy whose functions let all pass, and are asked of calls that wait and of calls that do not."""
    policy = Policy()
    policy.before("openat", "read", "execve", "wait4", "futex")(lambda call: None)
    policy.after("read", "write", "clone", "poll")(lambda call: None)
    return policy


def start(argv: list[str], engine: str, policy: Policy | None = None) -> Linux:
    linux = Linux(engine=engine, overlay=True, env=ENV, mounts={"/tmp": Tmpfs()}, policy=policy)
    linux.spawn(argv, stdin=0, stdout=PIPE, stderr=PIPE, cwd="/tmp")
    return linux


def finish(linux: Linux) -> tuple[bytes, bytes, int]:
    process = linux.process()
    result = process.wait(120)
    assert not result.timed_out
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdout.take(), process.stderr.take(), result.status


def check(name: str, points: int, dice: random.Random, engine: str) -> None:
    argv = PROGRAMS[name]
    for program in (argv[0], *NEEDS.get(name, ())):
        if shutil.which(program, path=ENV["PATH"]) is None:
            pytest.skip(f"needs {program}")
    with start(argv, engine) as linux:
        began = time.monotonic()
        wanted = finish(linux)
        length = time.monotonic() - began
    assert wanted[2] == 0, wanted
    done = tries = 0
    while done < points:
        tries += 1
        assert tries < 20 * points + 50, "it ends before it can be stopped"
        with start(argv, engine, looked_at() if dice.randrange(2) else None) as linux:
            if not linux.process().wait(dice.random() * length).timed_out:
                continue
            done += 1
            snap = linux.snapshot()
            assert finish(linux) == wanted
            linux.restore(snap)
            if dice.randrange(2):  # one that has gone on for a while is put back, too
                linux.process().wait(dice.random() * length)
                linux.restore(snap)
            assert finish(linux) == wanted
            with Linux.from_snapshot(snap) as copy:
                if dice.randrange(2) and copy.process().wait(dice.random() * length).timed_out:
                    with Linux.from_snapshot(copy.snapshot()) as branch:
                        assert finish(branch) == wanted
                assert finish(copy) == wanted
            linux.restore(snap)
            assert finish(linux) == wanted


@pytest.mark.skipif(engines.missing("native") is not None, reason="needs the native engine")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_goes_on_from_any_point_as_if_nothing_had_been(name: str) -> None:
    check(name, 2, random.Random(os.urandom(8)), "native")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", PROGRAMS)
def test_it_does_from_many_points(name: str, seed: int, request: pytest.FixtureRequest) -> None:
    first = request.config.getoption("--first-seed")
    check(name, 1, random.Random(first + seed), "native" if engines.missing("native") is None else "unicorn")
