"""Limits on memory, files and mappings are kept as the host keeps them; no single call works for long unseen."""

from __future__ import annotations

import time

import pytest

from axptr.linux import create_process

from ..conftest import ENVIRONMENT, run_guest, run_host
from ..signals.test_signals import HEADERS, same_as_host

INCLUDE = "#include <sys/sendfile.h>\n#include <sys/mman.h>\n#include <sys/stat.h>\n#include <sys/random.h>\n"


def build(compile_guest, body: str, before: str = ""):
    source = HEADERS + INCLUDE + before + "\nint main(int argc, char **argv) {\n" + body + "\nreturn 0; }"
    return compile_guest("limits", "-static", source=source)


def test_address_space_and_data_limits_refuse_what_the_host_refuses(compile_guest):
    same_as_host(
        compile_guest,
        """
        #define M(size, prot, flags) (mmap(0, size, prot, flags, -1, 0) == MAP_FAILED ? -1 : 0)
        int priv = MAP_PRIVATE | MAP_ANONYMOUS; char *m = mmap(0, 64 << 20, 3, priv, -1, 0);
        struct rlimit as = {200 << 20, 400 << 20}, data = {100 << 20, 200 << 20}, none = {RLIM_INFINITY, RLIM_INFINITY};
        R(setrlimit(RLIMIT_AS, &as));
        R(M(100 << 20, PROT_NONE, priv)); R(M(100 << 20, PROT_NONE, priv)); R(M(20 << 20, 3, priv));
        R(mremap(m, 64 << 20, 128 << 20, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
        R(mmap(m, 64 << 20, 1, priv | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
        R(sbrk(100 << 20) == (void *)-1 ? -1 : 0);
        as.rlim_cur = 400 << 20; R(setrlimit(RLIMIT_AS, &as));
        R(setrlimit(RLIMIT_DATA, &data));
        R(M(90 << 20, 3, priv)); R(M(90 << 20, 3, priv)); R(M(90 << 20, 1, priv));
        R(M(40 << 20, 3, MAP_SHARED | MAP_ANONYMOUS));
        char *r = mmap(0, 90 << 20, 1, priv, -1, 0); R(r == MAP_FAILED ? -1 : 0);
        R(mprotect(m, 64 << 20, 3)); R(sbrk(100 << 20) == (void *)-1 ? -1 : 0); R(sbrk(4096) == (void *)-1 ? -1 : 0);
        """,
        before=INCLUDE,
    )


def test_a_mapping_that_may_not_grow_stays_where_it_is(compile_guest):
    same_as_host(
        compile_guest,
        """
        int priv = MAP_PRIVATE | MAP_ANONYMOUS; char *m = mmap(0, 64 << 20, 3, priv, -1, 0), page[1];
        char *top = mmap(m + (64 << 20), 4096, 0, priv, -1, 0);
        char *to = mmap(0, 160 << 20, 0, priv | MAP_NORESERVE, -1, 0); munmap(to, 160 << 20);
        R(top != MAP_FAILED); m[0] = m[(64 << 20) - 1] = 7;
        struct rlimit as = {100 << 20, 400 << 20}; R(setrlimit(RLIMIT_AS, &as));
        char *t = mmap(to, 8192, 3, priv | MAP_FIXED, -1, 0); R(t == to);
        R(mremap(m, 64 << 20, 128 << 20, 0) == MAP_FAILED ? -1 : 0);
        R(mremap(m, 64 << 20, 128 << 20, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
        R(mremap(m, 64 << 20, 128 << 20, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED ? -1 : 0);
        R(mincore(t, 4096, (void *)page)); R(m[0] + m[(64 << 20) - 1]);
        R(mremap(m, 64 << 20, 64 << 20, MREMAP_MAYMOVE | 4, 0) == MAP_FAILED ? -1 : 0); R(m[0]);
        R(mremap(m, 64 << 20, 80 << 20, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
        """,
        before=INCLUDE,
    )


def test_a_process_has_at_most_as_many_mappings_as_linux_allows(compile_guest):
    body = """
        char *m = mmap(0, 1L << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); long n = 0;
        while (n < 131000 && mprotect(m + n * 4096, 4096, n % 2 ? PROT_READ : PROT_NONE) == 0) n++;
        printf("%d %s\\n", n > 65000 && n < 66000, strerrorname_np(errno));
        R(munmap(m + 4096, 4096)); R(munmap(m + (900 << 20), 4096)); R(mprotect(m + (900 << 20), 4096, 1));
        long k = 0;
        while (k < 50 && mmap(0, 4096, k % 2 ? 1 : 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) k++;
        printf("%d\\n", k < 50); R(mremap(m + 8192, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
        R(madvise(m + (800 << 20), 4096, MADV_DONTFORK)); R(mlock(m + (700 << 20) + 4096, 4096));
        R(munmap(m, 1L << 30));
        R(mmap(0, 4096, 1, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
    """
    same_as_host(compile_guest, body, before=INCLUDE)


def test_the_stack_grows_as_far_as_its_limit_says_also_across_an_exec(compile_guest):
    same_as_host(
        compile_guest,
        """
        static char alt[65536]; stack_t ss = {alt, 0, sizeof alt}; sigaltstack(&ss, 0);
        struct sigaction a = {.sa_handler = over, .sa_flags = SA_ONSTACK}; sigaction(SIGSEGV, &a, 0);
        if (argc > 1) { printf("exec: %d\\n", grow(atoi(argv[1]))); return 0; }
        struct rlimit r; getrlimit(RLIMIT_STACK, &r);
        r.rlim_cur = 64 << 20; R(setrlimit(RLIMIT_STACK, &r)); R(grow(32)); R(grow(63));
        r.rlim_cur = 16 << 20; R(setrlimit(RLIMIT_STACK, &r)); fflush(stdout);
        r.rlim_cur = 300 << 20; R(setrlimit(RLIMIT_STACK, &r)); fflush(stdout);
        execl("/proc/self/exe", "x", argc == 1 ? "250" : "", (char *)0);
        """,
        before=INCLUDE
        + """
        static void over(int n) { write(1, "overflow\\n", 9); _exit(9); }
        static int deeper(volatile char *above, int n) { char page[1 << 20]; page[0] = page[(1 << 20) - 1] = n;
            return n <= 1 ? 1 : deeper(page, n - 1) + (page[0] != (char)n); }
        static int grow(int mib) { return deeper(0, mib); }
        """,
    )


def test_a_stack_beyond_its_limit_is_a_fault_as_on_the_host(compile_guest):
    program = build(
        compile_guest,
        """struct rlimit r; getrlimit(RLIMIT_STACK, &r); r.rlim_cur = 2 << 20; setrlimit(RLIMIT_STACK, &r);
        printf("ready\\n"); fflush(stdout); return deeper(3);""",
        """static int deeper(int n) { volatile char p[1 << 20]; p[0] = p[(1 << 20) - 1] = n;
            return n ? deeper(n - 1) + p[0] : 0; }""",
    )
    host, ours = run_host(program), run_guest(program)
    assert (ours.lines, ours.status) == (host.lines, host.status)
    assert host.status == 139


@pytest.mark.parametrize("action", ["SIG_IGN", "note"])
def test_files_grow_to_their_limit_and_no_further(compile_guest, tmp_path, action: str):
    program = build(
        compile_guest,
        f"""
        struct rlimit r = {{100, RLIM_INFINITY}}; static char b[300]; signal(SIGXFSZ, {action}); int p[2]; pipe(p);
        int f = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600), a = open(argv[1], O_RDWR | O_APPEND);
        setrlimit(RLIMIT_FSIZE, &r);
        T(write(f, b, 60)); T(write(f, b, 300)); T(write(f, b, 1)); T(pwrite(f, b, 10, 95)); T(pwrite(f, b, 10, 200));
        T(ftruncate(f, 101)); T(ftruncate(f, 100)); T(write(a, b, 1)); T(ftruncate(f, 10)); T(write(a, b, 300));
        T(lseek(f, 0, SEEK_SET)); T(write(f, b, 300)); T(truncate(argv[1], 300)); T(write(p[1], b, 300));
        int s = open("/bin/ls", O_RDONLY); off_t o = 95;
        T(sendfile(f, s, 0, 300)); T(lseek(f, 50, SEEK_SET)); T(sendfile(f, s, 0, 300)); T(sendfile(f, s, 0, 300));
        T(splice(p[0], 0, f, &o, 300, 0)); T(splice(p[0], 0, f, &o, 300, 0)); T(fallocate(f, 0, 0, 101));
        T(fallocate(f, 0, 0, 100));
        T(fallocate(f, 1, 0, 300)); T(ftruncate(f, 50)); T(lseek(f, 90, 0)); T(copy_file_range(s, 0, f, 0, 300, 0));
        T(copy_file_range(s, 0, f, 0, 300, 0));
        r.rlim_cur = RLIM_INFINITY; setrlimit(RLIMIT_FSIZE, &r); puts(text);
        """,
        """static char text[9000], line[300];
        #define T(call) do { errno = 0; got = 0; long r_ = (call); \\
            snprintf(line, 300, "%s = %ld %d %d\\n", #call, r_, errno, got); strcat(text, line); } while (0)
        """,
    )
    host = run_host(program, tmp_path / "host")
    ours = run_guest(program, tmp_path / "ours", allow_write=[tmp_path])
    assert (ours.lines, ours.status) == (host.lines, host.status)


def test_a_file_beyond_its_limit_kills_a_program_that_does_not_handle_it(compile_guest, tmp_path):
    program = build(
        compile_guest,
        """struct rlimit r = {100, 100}; char b[200]; int f = open(argv[1], O_RDWR | O_CREAT, 0600);
        setrlimit(RLIMIT_FSIZE, &r); write(f, b, 200); write(f, b, 200);""",
    )
    assert run_host(program, tmp_path / "host").status == 128 + 25
    assert run_guest(program, tmp_path / "ours", allow_write=[tmp_path]).status == 128 + 25


def test_areas_and_pipes_count_against_the_memory_of_the_run(compile_guest):
    areas = build(
        compile_guest,
        """char *m = mmap(0, 1L << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); long n = 0;
        while (n < 131000 && mprotect(m + n * 4096, 4096, n % 2 ? PROT_READ : PROT_NONE) == 0) n++;
        printf("%ld %s\\n", n, strerrorname_np(errno));
        R(munmap(m, 1L << 30)); R(mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);""",
    )
    lines = run_guest(areas, memory_limit=8 << 20).lines
    count, code = lines[0].split()
    assert code == "ENOMEM"
    assert 8_000 < int(count) < 17_000
    assert [line.rsplit("= ", 1)[1] for line in lines[1:]] == ["0 ", "0 "]
    pipes = build(
        compile_guest,
        """int p[400][2], n = 0; while (n < 400 && pipe(p[n]) == 0) n++; printf("%d %s\\n", n, strerrorname_np(errno));
        R(fcntl(p[0][0], F_SETPIPE_SZ, 1 << 20)); for (int i = 0; i < n; i++) { close(p[i][0]); close(p[i][1]); }
        R(pipe(p[0])); R(fcntl(p[0][0], F_SETPIPE_SZ, 1 << 20)); R(fcntl(p[0][0], F_SETPIPE_SZ, 1 << 25));""",
    )
    lines = run_guest(pipes, memory_limit=8 << 20).lines
    count, code = lines[0].split()
    assert code == "ENFILE"
    assert 100 < int(count) < 128
    assert [line.split("= ")[1] for line in lines[1:]] == ["-1 ENOMEM", "0 ", "1048576 ", "-1 EPERM"]


def test_unknown_calls_are_told_apart_up_to_a_number(compile_guest):
    program = build(compile_guest, "for (int i = 0; i < 5000; i++) syscall(5000 + i); syscall(5000);")

    def watch(process) -> None:
        process.kernel.count_calls = True

    unknown = run_guest(program, watch=watch).unknown
    assert len(unknown) == 256
    assert unknown[5000] == 2


MAP = "char *map(long size) { return mmap(0, size, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }"
LONG = {
    "populate": "for (;;) munmap(mmap(0, 1L << 30, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0), 1L << 30);",
    "madvise": "madvise(map(4L << 30), 4L << 30, MADV_POPULATE_WRITE);",
    "mlock": "mlock(map(4L << 30), 4L << 30);",
    "zeros": 'read(open("/dev/zero", 0), map(2L << 30), 2L << 30);',
    "random": "getrandom(map(2L << 30), 2L << 30, 0);",
    "areas": """char *m = mmap(0, 1L << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (long n = 0; n < 65000; n++) mprotect(m + n * 4096, 4096, n % 2);
        for (;;) { mprotect(m, 1L << 30, 0); for (long n = 0; n < 65000; n++) mprotect(m + n * 4096, 4096, n % 2); }""",
}


@pytest.mark.parametrize("what", LONG)
def test_one_long_call_ends_at_the_deadline(compile_guest, what: str):
    program = build(compile_guest, LONG[what] + " for (;;) {}", MAP)
    with create_process(program, [program], env=ENVIRONMENT, memory_limit=6 << 30) as process:
        begin = time.process_time()  # who else uses the machine is not asked
        assert process.run(0.5).timed_out
        assert time.process_time() - begin < 2.5


def test_a_signal_ends_a_long_read_of_a_device_with_what_was_read(compile_guest):
    ours = run_guest(
        build(
            compile_guest,
            """signal(SIGALRM, note); struct itimerval t = {{0, 0}, {0, 200000}}; int f = open("/dev/urandom", 0);
            char *m = mmap(0, 1L << 30, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); setitimer(ITIMER_REAL, &t, 0);
            long n = read(f, m, 1L << 30); printf("%d %d\\n", n > 0 && n < 1L << 30, got);""",
        )
    )
    assert ours.lines == ["1 14"]
