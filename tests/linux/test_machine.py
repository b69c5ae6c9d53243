"""Machines: two of them in two threads give what each gives alone, and nothing of a run is left in a module."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from axptr.linux import create_process

from .conftest import ENVIRONMENT

PYTHON = """
import hashlib, os, random, sys, tempfile, time
data = open("big", "rb").read()
print(hashlib.sha256(data).hexdigest(), time.time(), os.urandom(5), hash("x"), os.getpid(), random.random())
with tempfile.TemporaryFile(dir=".") as file:
    file.write(data[:100000]); file.seek(50000); print(len(file.read()))
"""
PERL = '$SIG{ALRM} = sub { $n++ }; alarm 7; sleep 9; print "$n $$ ", time, " ", rand(), " ", -s "big"'
AWK = "BEGIN { srand(); print srand(), rand() } { n[$1]++ } END { for (k in n) print k, n[k] }"


def run_with_pipe(words: Sequence[str | Path], root: Path, seed: int | None) -> tuple[int, bytes]:
    """Status and what came out of a pipe, drained by a thread."""
    reader, writer = os.pipe()
    got = bytearray()

    def drain() -> None:
        while block := os.read(reader, 1 << 16):
            got.extend(block)

    drainer = threading.Thread(target=drain)
    drainer.start()
    null = os.open("/dev/null", os.O_RDWR)
    try:
        args = [os.fspath(word) for word in words]
        options = {"cwd": root, "allow_write": [root], "stdio": (null, writer, null), "seed": seed}
        with create_process(args[0], args, ENVIRONMENT, **options) as process:  # type: ignore[arg-type]
            result = process.run(timeout=100)
    finally:
        os.close(writer)
        drainer.join()
        os.close(reader)
        os.close(null)
    return result.status, bytes(got)


@pytest.fixture
def programs(compile_guest, tmp_path):
    """Programs by name for a side: each copies, hashes or lists that side's own bytes."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox-static")
    holes = compile_guest("holes")

    def of(side: str) -> list[tuple[list[str | Path], Path]]:
        root = tmp_path / side
        root.mkdir(exist_ok=True)
        big = root / "big"
        big.write_bytes(side.encode() * (3 << 20))
        return [
            (["/bin/cat", big], root),
            ([holes, big], root),
            ([busybox, "sh", "-c", f"while read -r n; do echo {side} $n; done < names; pwd; echo *"], root),
            ([busybox, "md5sum", big], root),
            ([busybox, "cp", big, root / "copied"], root),
            ([busybox, "head", "-c", "300000", big], root),
            ([busybox, "ls", root], root),
            ([busybox, "dd", f"if={big}", "bs=70001", "count=20"], root),
            ([busybox, "awk", AWK, "names"], root),
            ([busybox, "sort", "-r", "names"], root),
            ([busybox, "vi", "--nonsense"], root),
            (["/usr/bin/python3", "-c", PYTHON], root),
            (["/usr/bin/perl", "-e", PERL], root),
        ]

    for side in "AB":
        (tmp_path / side).mkdir()
        (tmp_path / side / "names").write_text("".join(f"{side}{i}\n" for i in range(50)))
        (tmp_path / side / "copied").write_bytes(side.encode() * (3 << 20))
    return of


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rounds", [2, pytest.param(8, marks=pytest.mark.slow)], ids=["26 runs", "104 runs"])
def test_two_machines_in_two_threads_give_what_each_gives_alone(programs, rounds):
    sides = {side: programs(side) for side in "AB"}
    seeds = {"A": 1, "B": 2}
    alone = {side: [run_with_pipe(words, root, seeds[side]) for words, root in sides[side]] for side in "AB"}
    assert sum(status != 0 for side in "AB" for status, _ in alone[side]) == 2  # the wrong option
    wrong: list[object] = []

    def repeat(side: str, first: int) -> None:
        count = len(sides[side])
        for i in range(first, first + rounds * count):
            words, root = sides[side][i % count]
            found = run_with_pipe(words, root, seeds[side])
            if found != alone[side][i % count]:
                wrong.append((side, words, found[0], len(found[1]), found[1][:200]))

    threads = [threading.Thread(target=repeat, args=(side, i * 3)) for i, side in enumerate("AB")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_machines_that_are_made_at_once_find_the_hosts_umask_and_leave_it():
    script = """
import os, sys, threading
from axptr.linux.host import HostView
os.umask(0o027)
sys.setswitchinterval(1e-6)
wrong = []
def look():
    for _ in range(3000):
        if (mask := HostView().umask) != 0o027:
            wrong.append(mask)
threads = [threading.Thread(target=look) for _ in range(4)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
print(wrong[:3], oct(os.umask(0)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)
    assert (done.stdout, done.stderr) == ("[] 0o27\n", "")


# -- what modules hold -----------------------------------------------------------------------------------------

LASTING = {
    "axptr.kernel.convert._makers": "code that makes calls with arguments of certain kinds",
    "axptr.linux.registry.HANDLERS": "handlers of the files that were loaded",
    "axptr.linux.registry._tables": "numbers of an architecture, and how their handlers are called",
    "axptr.linux.load.vdso._seen": "the clock source that the host has, and when that was looked up",
    "axptr.linux.fs.host.fd._openat2": "whether the host has the call",
}
"""What may be written after import: it is the same for every machine, whichever comes first."""

SNAPSHOT = """
import collections, functools, importlib, json, os, pkgutil, sys, types
import axptr

def modules():
    for info in pkgutil.walk_packages(axptr.__path__, "axptr."):
        if not info.name.startswith(("axptr._core", "axptr.__main__")):
            try:
                yield importlib.import_module(info.name)
            except ModuleNotFoundError as missing:  # an extra that is not installed
                assert not missing.name.startswith("axptr"), missing

PLAIN = (type(None), bool, int, float, str, bytes, complex)
CODE = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.GenericAlias)

def seen(value, depth=0):
    "A picture of a value: by what it holds for what can be changed, else by which it is."
    if isinstance(value, PLAIN) or isinstance(value, CODE) or depth > 6:
        return repr(value) if isinstance(value, PLAIN) else id(value)
    if isinstance(value, dict):
        return [id(value), sorted((repr(k), seen(v, depth + 1)) for k, v in value.items())]
    if isinstance(value, (set, frozenset)):
        return [id(value), sorted(map(repr, value))]
    if isinstance(value, (list, tuple, collections.deque)):
        return [id(value), [seen(v, depth + 1) for v in value]]
    if isinstance(value, (bytearray, memoryview)):
        return [id(value), bytes(value).hex()]
    if isinstance(value, type):
        own = {k: v for k, v in vars(value).items() if not k.startswith("__")}
        return [id(value), [(k, seen(v, depth + 1)) for k, v in own.items() if not isinstance(v, type)]]
    fields = getattr(value, "__dict__", {})
    return [id(value), [(k, seen(v, depth + 1)) for k, v in sorted(fields.items())]]

def picture(all_modules):
    found = {}
    for module in all_modules:
        for name, value in list(vars(module).items()):
            if name.startswith("__") or isinstance(value, types.ModuleType):
                continue
            if isinstance(value, type) and value.__module__ != module.__name__:
                continue
            full = f"{module.__name__}.{name}"
            if isinstance(value, functools._lru_cache_wrapper) and value.__module__ == module.__name__:
                found[full + "()"] = str(value.cache_info().currsize)
            found[full] = json.dumps(seen(value), default=id)
    return found

everything = [axptr, *modules()]
from axptr.linux import create_process
from axptr.cli.main import run_command
from axptr.linux.calls import FAMILIES
"""


def test_nothing_of_a_run_is_left_in_a_module(tmp_path, compile_guest):
    """All modules as they were before programs ran, but for what is told here: what two machines would share."""
    if shutil.which("busybox") is None:
        pytest.skip("needs busybox-static")
    program = compile_guest("holes")
    (tmp_path / "big").write_bytes(b"z" * 200000)
    runs = f"""
before = picture(everything)
os.chdir({str(tmp_path)!r})
null = os.open("/dev/null", os.O_RDWR)
B = {shutil.which("busybox")!r}
for words in (
    ["/bin/true"], [{str(program)!r}, "big"], [B, "sh", "-c", "echo x > made; read y < made; cat nothing"],
    [B, "ls", "-la", "/proc/self/fd"], [B, "cp", "big", "copy"], [B, "sleep", "0.01"], [B, "kill", "-9", "1"],
    [B, "dd", "if=/dev/urandom", "of=made", "bs=5000", "count=3"], [B, "stty"], ["/usr/bin/perl", "-e", {PERL!r}],
):
    for seed in (None, 4):
        if os.path.exists(words[0]):
            with create_process(words[0], words, allow_write=["."], stdio=(null, null, null), seed=seed) as process:
                process.run(timeout=60)
                process.format_maps(), process.format_svg()
quiet = os.dup(1)
os.dup2(null, 1)
for options in (["--strace"], ["--stats", "--maps"], ["--seed", "3", "--memory-limit", "64M", "--map", "x.svg"]):
    run_command(["run", "-o", "out", *options, "--", B, "ls", "/"])
os.dup2(quiet, 1)
after = picture(everything)
print(json.dumps(sorted(name for name in before if before[name] != after.get(name))))
"""
    done = subprocess.run([sys.executable, "-c", SNAPSHOT + runs], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    written = set(json.loads(done.stdout.splitlines()[-1]))
    assert "axptr.linux.registry._tables" in written
    assert written <= set(LASTING), written - set(LASTING)


def test_the_picture_of_modules_sees_what_is_written():
    planted = """
import axptr.linux.calls.dirs as one, axptr.engine.engine as two
one.kept = {}
one.Kept = type("Kept", (), {"of_class": [], "__module__": one.__name__})
two.number = 1
two.deep = ({"a": [set()]},)
two.thing = types.SimpleNamespace(field=[1])
before = picture(everything)
one.kept["x"] = 1
one.Kept.of_class.append(2)
two.number = 2
two.deep[0]["a"][0].add(1)
two.thing.field.append(3)
after = picture(everything)
print(json.dumps(sorted(name.rpartition(".")[2] for name in before if before[name] != after.get(name))))
"""
    done = subprocess.run([sys.executable, "-c", SNAPSHOT + planted], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["Kept", "deep", "kept", "number", "thing"]
