"""`--engine`: the same programs on the host's own CPU, as they are on the host; what cannot be had is one line."""

from __future__ import annotations

import os
import platform
import resource
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from axptr.linux.api import create_process
from engines import missing

from .conftest import AXPTR, ENVIRONMENT, axptr, run_axptr, run_host, status_of_shell

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the native engine is there for x86-64 alone")

SCRIPT = """
import hashlib, json, os, re, signal, sys
print(hashlib.sha256(b"x" * 100000).hexdigest(), json.dumps({"a": [1.5, None]}), re.sub("b+", "c", "abba"))
signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.02)
signal.pause()
print(sum(i * 0.1 for i in range(100000)), os.path.exists("/etc/passwd"))
sys.exit(7)
"""
AVX = r"""
#include <immintrin.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>
static volatile int rounds;
__attribute__((target("avx"))) static void on_alarm(int signal) {
    __m256d noise = _mm256_set1_pd(-1);     /* a handler that uses the same registers */
    __asm__ volatile("vmovapd %0, %%ymm7" : : "m"(noise) : "xmm7");
    rounds++;
}
__attribute__((target("avx"))) int main(void) {
    struct itimerval every = {{0, 1000}, {0, 1000}};
    double want[4] = {1, 2, 3, 4}, got[4];
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &every, 0);
    while (rounds < 20) {
        __asm__ volatile("vmovupd %1, %%ymm7\n mov $20000, %%ecx\n 1: dec %%ecx\n jnz 1b\n vmovupd %%ymm7, %0"
                         : "=m"(got) : "m"(want) : "ecx", "xmm7");
        for (int i = 0; i < 4; i++)
            if (got[i] != want[i]) { printf("lost\n"); return 1; }
    }
    printf("kept\n");
    return 0;
}
"""


def run(*options: str | Path) -> tuple[str, str, int]:
    done = run_axptr("run", *options)
    return done.stdout.decode(), done.stderr.decode(), done.returncode


@pytest.mark.parametrize(
    "command",
    [
        ("/bin/echo", "a", "b"),
        ("/bin/ls", "-l", "/etc"),
        ("/usr/bin/env", "-i", "/bin/sh", "-c", "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; echo $i; exit 3"),
        ("/usr/bin/python3", "-S", "-c", SCRIPT),
        ("/usr/bin/sha256sum", "/bin/sh"),
        ("/bin/sh", "-c", "kill -SEGV $$"),
    ],
    ids=lambda command: Path(command[0]).name + str(len(command)),
)
def test_a_program_gives_what_it_gives_on_the_host(command: tuple[str, ...]) -> None:
    host = run_host(*command)
    ours, _, status = run("--engine", "native", "--", *command)
    assert (ours, status) == (host.stdout.decode(), status_of_shell(host.returncode))


def test_vectors_outlive_a_handler_that_uses_them(tmp_path: Path) -> None:
    if "avx" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("the CPU has no AVX")
    (tmp_path / "avx.c").write_text(AVX)
    subprocess.run(["gcc", "-O1", "-o", tmp_path / "avx", tmp_path / "avx.c"], check=True)
    assert run("--engine", "native", "--timeout", "30", "--", tmp_path / "avx") == ("kept\n", "", 0)


def test_the_statistics_name_the_engine() -> None:
    for name in ("unicorn", "native"):
        _, text, _ = run("--engine", name, "--stats", "--", "/bin/true")
        assert f"  engine              {name} (as asked)\n" in text


@pytest.mark.parametrize(
    ("before", "options", "engine", "why"),
    [
        ("", (), "native", "the host's own CPU"),
        ("", ("--engine", "auto"), "native", "the host's own CPU"),
        ("", ("--seed", "3"), "unicorn", "it makes a run repeat"),
        ("ulimit -f 64; ", (), "unicorn", "the host does not let the native engine have a memory file to share"),
    ],
)
def test_a_run_takes_the_engine_that_is_right_for_it(
    before: str, options: tuple[str, ...], engine: str, why: str
) -> None:
    line = f"{before}exec {shlex.join([*AXPTR, 'run', *options])} --stats -- /bin/echo here"
    environment = {**ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1"}  # Python would leave half a module behind a limit
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=60, env=environment)
    assert (done.stdout, done.returncode) == ("here\n", 0)
    assert f"  engine              {engine} (auto: {why})\n" in done.stderr
    with_stats = ("axptr: statistics\n", done.stderr[: len("axptr: statistics\n")])
    assert with_stats[0] == with_stats[1]  # nothing of it is said unless it is asked for


def test_an_endless_program_ends_with_its_time() -> None:
    out, _, status = run("--engine", "native", "--timeout", "0.3", "--", "/bin/sh", "-c", "while :; do :; done")
    assert (out, status) == ("", 124)


def test_memory_is_limited_there_too() -> None:
    code = "x = bytearray(200 << 20)"
    out, err, status = run("--engine", "native", "--memory-limit", "64M", "--", "/usr/bin/python3", "-S", "-c", code)
    assert (out, status) == ("", 137)
    assert "it may hold 64 MiB" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--engine", "fast"), "--engine: there is no 'fast'"), (("--engine", "native", "--seed", "1"), "--seed")],
)
def test_what_cannot_be_is_refused_in_one_line(options: tuple[str, ...], said: str) -> None:
    out, err, status = run(*options, "--", "/bin/true")
    assert (out, status) == ("", 125)
    assert said in err
    assert err.count("\n") == 1


def test_create_process_refuses_what_the_command_refuses() -> None:
    with pytest.raises(ValueError, match="no engine 'fast'"):
        create_process("/bin/true", engine="fast")
    with pytest.raises(TypeError, match="engine is a name"):
        create_process("/bin/true", engine=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="repeats"):
        create_process("/bin/true", engine="native", seed=1)


def test_no_process_is_left_behind() -> None:
    with create_process("/bin/true", ["true"], engine="native") as process:
        process.engine.prepare()  # type: ignore[attr-defined]
        pids = process.engine.guest_pids  # type: ignore[attr-defined]
        assert pids
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        process.run(10)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_host_that_allows_no_further_process_amid_a_run_is_one_line() -> None:
    """The shell's child needs a process of its own, for which there is no descriptor left by then."""
    if missing("native") is not None:
        pytest.skip("needs the native engine")
    # The first read and child have us load what such need; the process that is left serves the second, none the third.
    script = "echo; read x; (:); echo up; read x; (:; (echo in); :); echo down"
    command = axptr("run", "--engine", "native", "--", "/bin/sh", "-c", script)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"\n"
        descriptors = Path(f"/proc/{process.pid}/fd")
        while not any(os.readlink(fd) == "anon_inode:[eventpoll]" for fd in descriptors.iterdir()):  # it waits
            time.sleep(0.01)
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"up\n"
        taken = {int(fd.name) for fd in descriptors.iterdir()}
        lowest = min(set(range(len(taken) + 1)) - taken)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (lowest, lowest))
        out, error = process.communicate(b"\n", timeout=60)
    assert (out, process.returncode) == (b"", 125), error
    assert error.startswith(b"axptr: the host does not let the native engine have ")
    assert error.count(b"\n") == 1
