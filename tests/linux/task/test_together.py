"""Threads of one process that run at once: each program checks what memory, calls and clocks promise its threads, and
says what it found; the host's kernel says the same."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import engines
from axptr.engine import NativeEngine
from axptr.linux import PIPE, Linux
from axptr.mm.filecache import FileCache

from ..snapshots.test_branch import ask
from .test_jobs import HEADERS, run

pytestmark = pytest.mark.skipif(engines.missing("native") is not None, reason="needs the native engine")

PROGRAMS = {
    # Each thread adds to the counter of the CPU that it is on, by a plain addition that nothing there may cut in two.
    "percpu": """
#include <stddef.h>
#include <stdint.h>
struct area { uint32_t start, cpu; uint64_t section; } __attribute__((aligned(32)));
static struct { volatile long n; char pad[56]; } counts[64];
extern const ptrdiff_t __rseq_offset; extern const unsigned __rseq_size;
static void *side(void *many) {
    char *fs; __asm__("mov %%fs:0, %0" : "=r"(fs));
    struct area *a = (struct area *)(fs + __rseq_offset);
    for (long i = 0; i < (long)many;) {
        int done;
        __asm__ volatile(
            ".pushsection .data\\n .balign 32\\n 3: .long 0, 0\\n .quad 1f, (2f - 1f), 4f\\n .popsection\\n"
            "xor %0, %0\\n lea 3b(%%rip), %%rax\\n mov %%rax, %1\\n"
            "1: mov %2, %%eax\\n shl $6, %%rax\\n mov (%3,%%rax), %%rcx\\n lea 1(%%rcx), %%rcx\\n"
            ".rept 40\\n nop\\n .endr\\n mov %%rcx, (%3,%%rax)\\n"
            "2: mov $1, %0\\n jmp 5f\\n .long 0x53053053\\n 4:\\n 5:\\n"
            : "=&r"(done), "=m"(a->section) : "m"(a->cpu), "r"(counts) : "rax", "rcx", "memory");
        i += done;
    }
    return 0;
}
int main(void) {
    pthread_t t[3]; long sum = 0, many = 3000000;
    if (!__rseq_size) return puts("no rseq"), 1;
    for (int i = 0; i < 3; i++) pthread_create(t + i, 0, side, (void *)many);
    for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
    for (int i = 0; i < 64; i++) sum += counts[i].n;
    printf("%d\\n", sum == 3 * many);
}
""",
    # Two that are pinned to one CPU each are there, whoever asks.
    "pinned": """
#include <sched.h>
static volatile int over;
static void *side(void *me) {
    cpu_set_t one; long bad = 0; unsigned cpu;
    CPU_ZERO(&one); CPU_SET((long)me, &one);
    if (pthread_setaffinity_np(pthread_self(), sizeof one, &one)) return (void *)1;
    for (int i = 0; i < 500; i++) { bad += sched_getcpu() != (long)me; getcpu(&cpu, 0); bad += cpu != (long)me; }
    return (void *)bad;
}
static void *spin(void *me) { while (!LOAD(&over)) ; return 0; }
int main(void) {
    cpu_set_t all, one; void *bad; pthread_t t[2], s; long sum = 0;
    if (sched_getaffinity(0, sizeof all, &all) || CPU_COUNT(&all) < 2) return puts("one CPU"), 1;
    pthread_create(&s, 0, spin, 0);
    for (long i = 0; i < 2; i++) pthread_create(t + i, 0, side, (void *)i);
    for (int i = 0; i < 2; i++) { pthread_join(t[i], &bad); sum += (long)bad; }
    for (int i = 0; i < 20; i++) {
        CPU_ZERO(&one); CPU_SET(i & 1, &one);
        sum += pthread_setaffinity_np(s, sizeof one, &one) != 0;
    }
    CPU_ZERO(&one); sum += sched_setaffinity(0, sizeof one, &one) != -1;
    STORE(&over, 1); pthread_join(s, 0);
    printf("%ld\\n", sum);
}
""",
    # What madvise, munmap, mremap and a mapping in the place of another took is taken when the call returns.
    "gone": """
#include <string.h>
static volatile long *page; static volatile long done; static volatile int over; static long bad;
static void *reader(void *unused) {
    while (!LOAD(&over)) { long d = LOAD(&done), x = *page; if (x && x <= d) bad++; }
    return 0;
}
int main(void) {
    pthread_t t;
    page = MAP(MAP_PRIVATE);
    pthread_create(&t, 0, reader, 0);
    for (long i = 1; i < 300; i++) {
        STORE(page, i);
        for (int j = 0; j < 200; j++) __asm__ volatile("pause");
        int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
        if (i % 3 == 0) madvise((void *)page, 4096, MADV_DONTNEED);
        else if (i % 3 == 1) mmap((void *)page, 4096, PROT_READ | PROT_WRITE, how, -1, 0);
        else { void *zero = MAP(MAP_PRIVATE); mremap(zero, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, page); }
        STORE(&done, i);
    }
    STORE(&over, 1);
    pthread_join(t, 0);
    printf("%ld\\n", bad);
}
""",
    # Threads are stopped at a page that is taken away, as collectors of garbage do, and none goes on before it is back.
    "safepoint": """
#include <errno.h>
#include <string.h>
static volatile int *poll_page; static volatile int over, stopped, go; static volatile long work[3]; static char *spare;
static void safepoint(int s, siginfo_t *info, void *u) {
    if (info->si_addr != (void *)poll_page) _exit(9);
    int mine = LOAD(&go);
    __atomic_fetch_add(&stopped, 1, __ATOMIC_SEQ_CST);
    while (LOAD(&go) == mine) __asm__ volatile("pause");
}
static void *side(void *me) { while (!LOAD(&over)) { (void)*poll_page; work[(long)me]++; } return 0; }
int main(void) {
    pthread_t t[3]; long bad = 0;
    struct sigaction a = {.sa_sigaction = safepoint, .sa_flags = SA_SIGINFO}; sigaction(SIGSEGV, &a, 0);
    poll_page = MAP(MAP_PRIVATE);
    for (long i = 0; i < 3; i++) pthread_create(t + i, 0, side, (void *)i);
    for (int i = 0; i < 25; i++) {
        mprotect((void *)poll_page, 4096, PROT_NONE);
        while (LOAD(&stopped) < 3) usleep(100);
        long seen[3]; memcpy(seen, (void *)work, sizeof seen);
        for (int j = 0; j < 2000; j++) __asm__ volatile("pause");
        bad += memcmp(seen, (void *)work, sizeof seen) != 0;
        mprotect((void *)poll_page, 4096, PROT_READ);
        STORE(&stopped, 0);
        __atomic_fetch_add(&go, 1, __ATOMIC_SEQ_CST);
    }
    STORE(&over, 1);
    for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
    printf("%ld\\n", bad);
}
""",
    # After a fork nothing that a thread of the parent writes shows in the child, and nothing that it wrote is lost.
    "forks": """
enum { N = 64 };
static volatile unsigned long *pages; static volatile int over; static long lost;
static void *writer(void *unused) {
    for (unsigned long n = 1; !LOAD(&over); n++)
        for (int i = 0; i < N; i++) { lost += pages[i * 512] != n - 1; pages[i * 512] = n; }
    return 0;
}
int main(void) {
    pthread_t t; int status, bad = 0;
    pages = mmap(0, N * 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    pthread_create(&t, 0, writer, 0);
    for (int i = 0; i < 40; i++) {
        int child = i & 1 ? fork() : vfork();
        if (!child && i & 1) {
            unsigned long seen[N]; int bad = 0;
            for (int i = 0; i < N; i++) seen[i] = pages[i * 512];
            for (int j = 0; j < 300; j++) for (int i = 0; i < N; i++) bad += pages[i * 512] != seen[i];
            for (int i = 0; i < N; i++) bad += seen[i] != seen[0] && seen[i] + 1 != seen[0];
            _exit(!!bad);
        }
        if (!child) _exit(0);
        waitpid(child, &status, 0);
        bad += status != 0;
    }
    STORE(&over, 1);
    pthread_join(t, 0);
    printf("%d %ld\\n", bad, lost);
}
""",
    "counted": """
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER; static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static long plain, turn; static volatile long atomic;
static void *side(void *me) {
    for (int i = 0; i < 5000; i++) {
        pthread_mutex_lock(&m); plain++; pthread_mutex_unlock(&m);
        __atomic_fetch_add(&atomic, 1, __ATOMIC_RELAXED);
    }
    for (int i = 0; i < 100; i++) {
        pthread_mutex_lock(&m);
        while (turn % 3 != (long)me) pthread_cond_wait(&c, &m);
        turn++; pthread_cond_broadcast(&c); pthread_mutex_unlock(&m);
    }
    return 0;
}
int main(void) {
    pthread_t t[3];
    for (long i = 0; i < 3; i++) pthread_create(t + i, 0, side, (void *)i);
    for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
    printf("%ld %ld %ld\\n", plain, atomic, turn);
}
""",
    # Signals reach a thread that computes, a thread that computes is cancelled, and every one goes with its process.
    "disturbed": """
static volatile int told, over; static volatile pthread_t who;
static void on(int s) { told += pthread_equal(pthread_self(), who); }
static void *spin(void *unused) { who = pthread_self(); while (!LOAD(&over)) ; return 0; }
static void *endless(void *unused) {
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, 0);
    for (;;) __asm__ volatile("");
}
static void *executes(void *unused) { execl("/proc/self/exe", "me", "again", NULL); return 0; }
int main(int argc, char **argv) {
    pthread_t t, u; void *result;
    if (argc > 1) {
        pthread_create(&t, 0, endless, 0); usleep(1000);
        printf("again\\n"); fflush(stdout); exit(7);
    }
    signal(SIGUSR1, on);
    pthread_create(&t, 0, spin, 0);
    while (!LOAD(&who)) ;
    for (int i = 0; i < 20; i++) { int before = told; pthread_kill(t, SIGUSR1); while (told == before) ; }
    over = 1; pthread_join(t, 0);
    pthread_create(&u, 0, endless, 0); usleep(1000); pthread_cancel(u); pthread_join(u, &result);
    printf("%d %d\\n", told, result == PTHREAD_CANCELED); fflush(stdout);
    pthread_create(&u, 0, endless, 0); pthread_create(&t, 0, executes, 0);
    for (;;) __asm__ volatile("");
}
""",
    # Each thread's clock goes while it runs, and the process's is their sum.
    "clocks": """
#include <time.h>
static volatile int over;
static void *spin(void *unused) { while (!LOAD(&over)) ; return 0; }
static double now(clockid_t c) { struct timespec t; clock_gettime(c, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
int main(void) {
    pthread_t t[2]; clockid_t c[2];
    for (int i = 0; i < 2; i++) { pthread_create(t + i, 0, spin, 0); pthread_getcpuclockid(t[i], c + i); }
    while (now(c[0]) < .03 || now(c[1]) < .03) usleep(2000);
    double sum = now(c[0]) + now(c[1]), all = now(CLOCK_PROCESS_CPUTIME_ID);
    over = 1;
    for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
    printf("%d %d\\n", all >= sum, now(CLOCK_PROCESS_CPUTIME_ID) >= all);
}
""",
    # The store before membarrier(2) is seen by who looks after it, whose own store was seen before it.
    "barriers": """
#include <sys/syscall.h>
static volatile int x, y, a, round_; static volatile int r1;
static void *fast(void *unused) {
    for (int i = 1; i <= 150; i++) {
        while (LOAD(&round_) != i) ;
        x = 1; __asm__ volatile("" ::: "memory"); r1 = y;
        STORE(&a, i);
    }
    return 0;
}
int main(void) {
    pthread_t t; int bad = 0;
    bad += syscall(SYS_membarrier, 8, 0, 0) != -1;
    bad += syscall(SYS_membarrier, 16, 0, 0) != 0;
    pthread_create(&t, 0, fast, 0);
    for (int i = 1; i <= 150; i++) {
        x = y = 0; STORE(&round_, i);
        y = 1; syscall(SYS_membarrier, 8, 0, 0); int r2 = x;
        while (LOAD(&a) != i) ;
        bad += !r1 && !r2;
    }
    pthread_join(t, 0);
    printf("%d\\n", bad);
}
""",
}
FLAGS = ("-O1", "-static", "-pthread")
Compile = Callable[..., Path]


@pytest.mark.parametrize("jobs", [1, 2, 3])
@pytest.mark.parametrize("name", PROGRAMS)
def test_threads_find_what_they_find_on_the_host(
    compile_guest: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, jobs: int
) -> None:
    if name == "pinned" and jobs == 1:
        pytest.skip("of one CPU")
    program = compile_guest(f"together-{name}", *FLAGS, source=HEADERS + PROGRAMS[name])
    (tmp_path / "host").mkdir()
    (tmp_path / "ours").mkdir()
    host = subprocess.run([program], cwd=tmp_path / "host", capture_output=True, text=True, timeout=300)
    if name in ("percpu", "pinned") and host.returncode == 1:
        pytest.skip(host.stdout)
    monkeypatch.chdir(tmp_path / "ours")
    status = host.returncode
    assert run(program, jobs=jobs, out=tmp_path / "out", status=status, allow_write=["."]) == host.stdout
    for path in (tmp_path / "host").iterdir():
        assert (tmp_path / "ours" / path.name).read_bytes() == path.read_bytes()


WRITTEN = """
#include <fcntl.h>
static volatile long *page; static volatile int over;
static void *writer(void *unused) { while (!LOAD(&over)) ++*page; return 0; }
int main(void) {
    pthread_t t; int fd = open("shared", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || ftruncate(fd, 4096)) return 1;
    page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    pthread_create(&t, 0, writer, 0);
    for (int i = 0; i < 20; i++) {
        for (long seen = *page; *page == seen; ) ;
        msync((void *)page, 4096, MS_SYNC);
    }
    STORE(&over, 1);
    pthread_join(t, 0);
}
"""


def test_nobody_writes_unnoticed_to_what_is_being_written_back(
    compile_guest: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written from the moment on at which a page counts as unwritten is a fault, and makes it a written one."""
    program = compile_guest("together-written", *FLAGS, source=HEADERS + WRITTEN)
    flush = FileCache.flush
    seen: list[bool] = []

    def watched(self: FileCache, first: int = 0, last: int | None = None, *, clear: bool = True) -> None:
        before = self.peek(0)
        time.sleep(0.003)
        seen.append(self.peek(0) == before)
        flush(self, first, last, clear=clear)

    monkeypatch.setattr(FileCache, "flush", watched)
    monkeypatch.chdir(tmp_path)
    run(program, jobs=2, out=tmp_path / "out", allow_write=["."])
    assert len(seen) >= 20
    assert all(seen)


def test_membarrier_has_who_runs_beside_come_out(
    compile_guest: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = compile_guest("together-barriers", *FLAGS, source=HEADERS + PROGRAMS["barriers"])
    fenced: list[object] = []
    fence = NativeEngine.fence
    monkeypatch.setattr(NativeEngine, "fence", lambda self, parked: fenced.append(parked) or fence(self, parked))
    assert run(program, jobs=2, out=tmp_path / "out") == "0\n"
    assert len(fenced) > 50


PLACED = """
#include <sched.h>
#include <sys/syscall.h>
int main(void) {
    cpu_set_t one; char c; unsigned cpu;
    CPU_ZERO(&one); CPU_SET(1, &one);
    sched_setaffinity(0, sizeof one, &one);
    for (;;) {
        sched_getaffinity(0, sizeof one, &one); syscall(SYS_getcpu, &cpu, 0, 0);
        printf("%d %u %d\\n", sched_getcpu(), cpu, CPU_COUNT(&one)); fflush(stdout);
        if (read(0, &c, 1) != 1) return 0;
    }
}
"""


def test_a_copy_that_has_one_cpu_has_no_task_on_another(compile_guest: Compile) -> None:
    program = compile_guest("together-placed", *FLAGS, source=HEADERS + PLACED)
    with Linux(engine="native", engine_jobs=2) as linux:
        linux.spawn([str(program)], stdin=PIPE, stdout=PIPE, stderr=2)
        assert ask(linux) == b"1 1 1\n"
        snap = linux.snapshot()
        with Linux.from_snapshot(snap) as branch:
            assert ask(branch, b"x") == b"0 0 1\n"
        linux.restore(snap)
        assert ask(linux, b"x") == b"1 1 1\n"
