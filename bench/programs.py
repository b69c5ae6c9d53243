"""Ordinary programs on the native engine: against the same on the host itself, and against qemu-x86_64.

`inside` is what the program measures of itself: what computing costs, without starting. The rest are whole processes,
as the shell sees them. Files are made where the benchmark starts; a program that the host does not have is skipped.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .harness import Benchmark, Mode, Pair, Side, Skip
from .startup import axptr_command

SHA = (
    "import hashlib,time\nb=bytes(1<<20)\nt=time.perf_counter()\nh=hashlib.sha256()\nfor i in range({n}): h.update(b)\n"
)
LOOP = "import time\nt=time.perf_counter()\nfor i in range({n}): pass\n"
SAID = "print(time.perf_counter()-t)"
AVX = """
#include <immintrin.h>
#include <stdio.h>
__attribute__((target("avx2"))) int main(void) {
    __m256i sum = _mm256_set1_epi32(1), step = _mm256_set1_epi32(3);
    for (long i = 0; i < 300000000; i++)
        sum = _mm256_add_epi32(_mm256_xor_si256(sum, step), _mm256_slli_epi32(sum, 1));
    return printf("%d\\n", _mm256_extract_epi32(sum, 0)) < 0;
}
"""


def benchmarks() -> list[Benchmark]:
    return [
        _inside("sha256", SHA, 256, 1.05),
        _inside("loop", LOOP, 10_000_000, 1.05),
        _whole("gzip", ("gzip", "-9c", "{dir}/text"), 1.3),
        _whole("sort", ("sort", "-S64M", "{dir}/text"), 1.3, options=("--engine-jobs", "2")),
        _whole("sqlite3", ("sqlite3", ":memory:", _SQL), 1.3),
        _whole("cc1", ("{cc1}", "-quiet", "-O2", "-o", "/dev/null", "{dir}/many.c"), 1.5),
        _whole("avx2", ("{dir}/avx",), 1.3),
        _whole("echo", ("/bin/echo", "hello"), 2.0, qemu=True),
        _whole("python", ("/usr/bin/python3", "-S", "-c", "pass"), 1.0, qemu=True),
        _whole("ls", ("/bin/ls", "-lR", "{dir}/tree"), 1.0, qemu=True),
        _whole("find", ("find", "{dir}/tree", "-newer", "/bin/sh"), 1.5, qemu=True),
        *(_auto(name, command) for name, command in _CHOICES.items()),
    ]


_CHOICES = {
    "echo": ("/bin/echo", "hello"),
    "python": ("/usr/bin/python3", "-S", "-c", "pass"),
    "ls": ("/bin/ls", "-lR", "{dir}/tree"),
    "gzip": ("gzip", "-9c", "{dir}/text"),
    "sort": ("sort", "-S64M", "{dir}/text"),
    "cc1": ("{cc1}", "-quiet", "-O2", "-o", "/dev/null", "{dir}/many.c"),
    "forks": ("/bin/sh", "-c", "i=0; while [ $i -lt 50 ]; do /bin/true; i=$((i + 1)); done"),
    "pipes": ("/bin/sh", "-c", "i=0; while [ $i -lt 20 ]; do echo $i | cat; i=$((i + 1)); done"),
}
"""What `auto` is to be no slower at than the better engine, with small inputs: an emulated CPU takes its time."""


_SQL = (
    "pragma temp_store=memory; with recursive n(i) as (select 1 union all select i+1 from n where i < 600000) "
    "select count(*), sum(i * i % 7) from n group by i % 10 order by 2;"
)


def _native(command: list[str], *options: str) -> list[str]:
    return _over("native", command, *options)


def _over(engine: str, command: list[str], *options: str) -> list[str]:
    return [*axptr_command()[:2], "--engine", engine, *options, "--", *command]


def _auto(name: str, command: tuple[str, ...]) -> Benchmark:
    def prepare(mode: Mode) -> Pair:
        def sides(where: Path) -> tuple[Side, Side]:
            ready = _made(command, where, small=True)
            peers = [timed(_over(engine, ready)) for engine in ("native", "unicorn")]
            return timed(_over("auto", ready)), lambda times: min(peer(times) for peer in peers)

        return in_directory(sides, slow=3)

    return Benchmark(
        f"programs.{name}.auto", f"{name} on the engine that a run takes", "the better engine", 1.1, prepare
    )


def _inside(name: str, code: str, amount: int, bar: float) -> Benchmark:
    def prepare(mode: Mode) -> Pair:
        text = code.format(n=amount // 16 if mode.smoke else amount) + SAID
        command = ["/usr/bin/python3", "-S", "-c", text]
        return Pair(told(_native(command)), told(command), slow=3)

    return Benchmark(
        f"programs.{name}.inside", f"{name} in Python on the native engine, by its own clock", "the host", bar, prepare
    )


def told(command: list[str], environment: dict[str, str] | None = None) -> Side:
    """Seconds as the program prints them."""

    def once() -> float:
        return float(subprocess.run(command, capture_output=True, check=True, env=environment).stdout)

    def side(times: int) -> float:
        return sum(once() for _ in range(times))

    return side


def in_directory(sides: Callable[[Path], tuple[Side, Side]], slow: int) -> Pair:
    """Two commands over files in a directory of their own, each made once before it counts."""
    directory = tempfile.TemporaryDirectory(prefix="axptr-bench-")
    try:
        subject, peer = sides(Path(directory.name))
        subject(1)
        peer(1)
    except BaseException:
        directory.cleanup()
        raise
    return Pair(subject, peer, slow=slow, close=directory.cleanup)


def _whole(
    name: str, command: tuple[str, ...], bar: float, *, qemu: bool = False, options: tuple[str, ...] = ()
) -> Benchmark:
    def prepare(mode: Mode) -> Pair:
        def sides(where: Path) -> tuple[Side, Side]:
            ready = _made(command, where, small=mode.smoke)
            before = [needed("qemu-x86_64")] if qemu else []
            return timed(_native(ready, *options)), timed([*before, *ready])

        return in_directory(sides, slow=3)

    peer = "qemu-x86_64" if qemu else "the host"
    return Benchmark(f"programs.{name}", f"{name} on the native engine, the whole process", peer, bar, prepare)


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise Skip(f"there is no {program} here")
    return found


def _made(command: tuple[str, ...], where: Path, *, small: bool) -> list[str]:
    """The command with what it works on in place."""
    words = {"dir": str(where), "cc1": ""}
    if any("{cc1}" in word for word in command):
        words["cc1"] = subprocess.run(
            [needed("gcc"), "-print-prog-name=cc1"], capture_output=True, text=True, check=True
        ).stdout.strip()
    for file, make in _FILES.items():
        if any(file in word for word in command):
            make(where, small)
    ready = [word if word == _SQL else word.format(**words) for word in command]
    return [needed(ready[0]), *ready[1:]]


def _text(where: Path, small: bool) -> None:
    dice = random.Random(1)
    lines = 20_000 if small else 500_000
    (where / "text").write_text("".join(f"{dice.randrange(1 << 40):x} {dice.random()}\n" for _ in range(lines)))


def _many(where: Path, small: bool) -> None:
    functions = 10 if small else 1000
    (where / "many.c").write_text(
        "".join(
            f"int f{i}(int *p, int n) {{\n    int s = {i};\n    for (int k = 0; k < n; k++) s += p[k] * (k ^ {i});\n"
            f"    return s;\n}}\n"
            for i in range(functions)
        )
    )


def _avx(where: Path, small: bool) -> None:
    if " avx2 " not in Path("/proc/cpuinfo").read_text():
        raise Skip("the CPU has no AVX2")
    (where / "avx.c").write_text(AVX.replace("300000000", "3000000") if small else AVX)
    subprocess.run([needed("gcc"), "-O2", "-o", where / "avx", where / "avx.c"], check=True)


def _tree(where: Path, small: bool) -> None:
    for i in range(5 if small else 50):
        (where / "tree" / str(i)).mkdir(parents=True)
        for k in range(100):
            (where / "tree" / str(i) / f"file{k}").touch()


_FILES: dict[str, Callable[[Path, bool], None]] = {
    "{dir}/text": _text,
    "{dir}/many.c": _many,
    "{dir}/avx": _avx,
    "{dir}/tree": _tree,
}


def timed(command: list[str]) -> Side:
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def side(times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment)
            if done.returncode:
                raise RuntimeError(f"{command}: status {done.returncode}: {done.stderr[-500:]!r}")
        return time.perf_counter() - start

    return side
