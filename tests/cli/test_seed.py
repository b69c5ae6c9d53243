"""`--seed`: two runs of a program with one input are the same run, call by call; another seed's is another."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ENVIRONMENT, run_axptr

Traced = Callable[..., "tuple[bytes, bytes, int]"]

PYTHON = """
import os, random, sys, tempfile, time, uuid
print(hash("text"), {"a", "b", "c", "d"}, random.random(), uuid.uuid4(), os.urandom(8), os.getpid(), os.getppid())
print(time.time(), time.monotonic(), time.process_time(), time.localtime(), os.times(), os.uname())
time.sleep(3600)
print(time.time(), time.perf_counter(), os.stat("/dev/null"), os.stat("/proc"), os.fstat(0), os.fstat(1), os.fstat(2))
with tempfile.NamedTemporaryFile(dir=".") as file:
    print(file.name)
for name in ("stat", "status", "io", "statm", "fdinfo/1", "maps"):
    print(open(f"/proc/self/{name}").read())
print(os.readlink("/proc/self/fd/1"), os.listdir("/proc/self/fd"))
"""
PERL = """
print rand(), " ", time, " $$ ", join(",", keys %{{map {$_ => 1} 1..9}}), " ", join(",", times), "\\n";
sleep 9; print time
"""
BASH = "echo $RANDOM $RANDOM $SRANDOM $$ $PPID $EPOCHREALTIME $SECONDS $HOSTNAME; read -t 0.5 x < /proc/uptime; echo $x"
AWK = "BEGIN { srand(); print srand(), rand() }"

CLOCKS = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <immintrin.h>
#include <x86intrin.h>
static volatile sig_atomic_t got;
static void note(int n) { got++; }
static void bytes(const unsigned char *at, int n) { while (n--) printf("%02x", *at++); puts(""); }
static void file(const char *path) {
    char data[4096]; int n; FILE *f = fopen(path, "r");
    if (!f) { perror(path); return; }
    printf("== %s\n", path);
    while ((n = fread(data, 1, sizeof data, f)) > 0) fwrite(data, 1, n, stdout);
    fclose(f);
}
int main(void) {
    struct timespec t, before;
    for (int c = -20; c < 13; c++) {
        if (!clock_gettime(c, &t)) printf("clock %d %ld.%09ld\n", c, t.tv_sec, t.tv_nsec);
        if (!clock_getres(c, &t)) printf("resolution %d %ld.%09ld\n", c, t.tv_sec, t.tv_nsec);
    }
    struct timeval tv; gettimeofday(&tv, 0); printf("%ld.%06ld %ld\n", tv.tv_sec, tv.tv_usec, time(0));
    struct sysinfo si; sysinfo(&si); printf("%ld %lu %lu %d\n", si.uptime, si.totalram, si.freeram, si.procs);
    struct utsname u; uname(&u); printf("%s %s %s %s %s\n", u.sysname, u.nodename, u.release, u.version, u.machine);
    char data[40]; getrandom(data, 40, 0); bytes(data, 40); bytes((unsigned char *)getauxval(AT_RANDOM), 16);
    int fd = open("/dev/urandom", O_RDONLY); read(fd, data, 8); bytes(data, 8);
    cpu_set_t cpus; sched_getaffinity(0, sizeof cpus, &cpus);
    printf("%d %d %d %d %d %d\n", getpid(), getppid(), getpgrp(), getsid(0), getpriority(0, 0), CPU_COUNT(&cpus));
    int ends[2]; pipe(ends); struct stat s; struct statx sx; char link[64] = {0};
    fstat(ends[0], &s); statx(ends[0], "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx);
    readlink("/proc/self/fd/4", link, 63);
    printf("%lu %llu %ld %s\n", s.st_ino, (long long)sx.stx_ino, s.st_mtime, link);
    const char *ours[] = {"/proc", "/proc/self/stat", "/dev", "/dev/null", "/dev/random", "/proc/self/fd/4"};
    for (int i = 0; i < 6; i++)
        printf("%d %lu %lu %ld %ld\n", stat(ours[i], &s), s.st_dev, s.st_ino, s.st_mtime, s.st_ctim.tv_nsec);
    clock_gettime(CLOCK_MONOTONIC, &before);
    struct pollfd p = {ends[0], POLLIN}; printf("poll %d\n", poll(&p, 1, 20));
    struct sigaction act = {.sa_handler = note}; sigaction(SIGALRM, &act, 0); sigaction(SIGPROF, &act, 0);
    sigaction(SIGVTALRM, &act, 0);
    alarm(1000); pause(); clock_gettime(CLOCK_MONOTONIC, &t);
    printf("after the alarm: %ld s\n", t.tv_sec - before.tv_sec);
    struct itimerval beat = {{0, 100000}, {0, 100000}}, left; setitimer(ITIMER_REAL, &beat, 0);
    for (int i = 0; i < 50; i++) pause();
    getitimer(ITIMER_REAL, &left); setitimer(ITIMER_REAL, &(struct itimerval){0}, 0);
    printf("%ld %d\n", left.it_value.tv_usec, got);
    struct itimerval brief = {{0, 1000}, {0, 1000}}; int kinds[] = {ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL};
    for (int k = 0; k < 3; k++) {
        unsigned long turns = 0; setitimer(kinds[k], &beat, 0);
        for (int g = got; got < g + 2; turns++);
        setitimer(kinds[k], &(struct itimerval){0}, 0); printf("turns %lu\n", turns);
        setitimer(kinds[k], &brief, 0);
        for (int g = got; got < g + 1; turns++) { getppid(); for (volatile int i = 0; i < 100; i++); }
        setitimer(kinds[k], &(struct itimerval){0}, 0); printf("and calls %lu\n", turns);
    }
    for (clock_t c = clock(); clock() - c < 3000;);
    unsigned aux; unsigned long long number; unsigned long long tsc = __rdtsc(); _rdrand64_step(&number);
    printf("%llu %llu %u %llx\n", tsc, __rdtscp(&aux), aux, number);
    struct rusage ru; getrusage(RUSAGE_SELF, &ru);
    printf("%ld.%06ld %ld.%06ld\n", ru.ru_utime.tv_sec, ru.ru_utime.tv_usec, ru.ru_stime.tv_sec, ru.ru_stime.tv_usec);
    struct tms tm; long ticks = times(&tm);
    printf("%ld %ld %ld %ld %ld\n", ticks, tm.tms_utime, tm.tms_stime, (long)clock(), ru.ru_maxrss);
    const char *texts[] = {
        "/proc/self/stat", "/proc/uptime", "/proc/stat", "/proc/version", "/proc/sys/kernel/random/uuid",
        "/proc/sys/kernel/random/boot_id", "/proc/sys/kernel/hostname", "/proc/meminfo", "/proc/loadavg",
        "/proc/self/status", "/proc/self/fdinfo/4", "/proc/self/smaps", "/proc/cpuinfo", "/proc/self/limits",
        "/proc/sys/kernel/osrelease",
    };
    for (int i = 0; i < 15; i++) file(texts[i]);
    char name[] = "./nameXXXXXX"; close(mkstemp(name)); puts(name); unlink(name);
    mmap(0, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0); file("/proc/self/maps");
}
"""


@pytest.fixture
def traced(tree: Path, tmp_path: Path) -> Traced:
    """`traced(seed, program, ...)`: the trace, what came out, the status. Always in the same directory."""

    def run(seed: object, *words: object) -> tuple[bytes, bytes, int]:
        trace = tmp_path / "trace"
        options = ["--seed", str(seed), "--allow-write", tree, "--strace", "-o", trace]
        done = run_axptr("run", *options, "--", *words, cwd=tree, env=ENVIRONMENT | {"TMPDIR": str(tree)})
        return trace.read_bytes(), done.stdout + done.stderr, done.returncode

    return run


def repeats(traced: Traced, *words: object) -> tuple[bytes, bytes, int]:
    one = traced(1, *words)
    same = traced(1, *words)
    assert one[1] == same[1]
    assert one[0].splitlines() == same[0].splitlines()
    assert one == same
    assert one[0].count(b"\n") > 5
    return one


def need(name: str) -> str:
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    return name


@pytest.mark.parametrize(
    "words",
    [
        ("python3", "-c", PYTHON),
        ("perl", "-e", PERL),
        ("bash", "-c", BASH),
        ("awk", AWK),
        ("date", "+%s.%N"),
        ("mktemp", "-u"),
    ],
    ids=lambda words: words[0],
)
def test_a_program_runs_the_same_again_and_with_another_seed_otherwise(traced: Traced, words: tuple[str, ...]) -> None:
    need(words[0])
    _, output, status = repeats(traced, *words)
    assert status == 0
    assert output
    other = traced(2, *words)
    assert other[1] != output
    assert other[2] == 0


@pytest.mark.parametrize(
    "words", [("ls", "-la"), ("ls", "-l", "/proc/self/fd", "/proc/self"), ("stat", "/proc", "/dev/tty")]
)
def test_lists_of_files_repeat(traced: Traced, words: tuple[str, ...]) -> None:
    need(words[0])
    repeats(traced, *words)


def test_every_clock_and_file_of_the_machines_own_repeats(traced: Traced, compile_c: Callable[..., Path]) -> None:
    program = compile_c(CLOCKS, "-mrdrnd")
    _, output, status = repeats(traced, program)
    assert status == 0
    assert b"after the alarm: 1000 s" in output
    other = traced(2, program)
    assert other[1] != output


def test_a_sleep_takes_no_time_of_ours(traced: Traced) -> None:
    began = time.monotonic()
    trace, _, status = traced(5, "sleep", "100000")
    assert status == 0
    assert b"100000" in trace
    assert time.monotonic() - began < 50


LIMIT = """
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
static volatile int count;
static void note(int n) { count++; }
int main(void) {
    setrlimit(RLIMIT_CPU, &(struct rlimit){1, 2}); signal(SIGXCPU, note);
    unsigned long turns = 0; while (!count) turns++;
    printf("%lu\\n", turns); fflush(stdout);
    for (;;);
}
"""


def test_limits_on_cpu_time_end_a_program_at_the_same_turn(traced: Traced, compile_c: Callable[..., Path]) -> None:
    program = compile_c(LIMIT, "-static")
    _, output, status = traced(1, program)
    assert status == 128 + 9
    assert 10_000_000 < int(output.splitlines()[0]) < 1_000_000_000  # a second, at a nanosecond a byte
    assert traced(1, program)[1] == output


def test_the_users_time_is_up_when_it_is(compile_c: Callable[..., Path]) -> None:
    began = time.monotonic()
    done = run_axptr("run", "--seed", "1", "--timeout", "0.5", "--", compile_c("int main(void) { for (;;); }"))
    assert done.returncode == 124
    assert 0.5 <= time.monotonic() - began < 50


def test_without_a_seed_runs_differ(tree: Path) -> None:
    need("python3")
    words = ("run", "--", "python3", "-c", "import os, time; print(os.urandom(8), time.time())")
    assert run_axptr(*words).stdout != run_axptr(*words).stdout


@pytest.mark.parametrize("text", ["", "x", "1.5", "1 2", "0xg"])
def test_a_seed_that_is_no_number_is_refused(text: str) -> None:
    done = run_axptr("run", "--seed", text, "--", "/bin/true")
    assert done.returncode == 125
    assert b"--seed" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_numbers_are_written_as_in_python() -> None:
    words = ("--", "awk", AWK)
    need("awk")
    assert run_axptr("run", "--seed", "0x10", *words).stdout == run_axptr("run", "--seed=16", *words).stdout
