"""What an open file forbids and answers: busy programs, mappings, O_DIRECT, ioctl. The host is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from axptr.linux.fs.host.file import HostFile

from ..conftest import run_guest, run_host

HEADERS = """
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <linux/fiemap.h>
#define FIEMAP _IOWR('f', 11, struct fiemap)
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
static void show(const char *what, long result) {
    printf("%s: %ld %s\\n", what, result, result == -1 ? strerrorname_np(errno) : "");
    fflush(stdout);
    errno = 0;
}
"""


def compare(program: Path, tmp_path: Path, *words: str) -> list[str]:
    """Run on both sides, each in a directory with a program `prog`, a script `script` and 3 pages of `data`."""
    lines = []
    for side, run in (("host", run_host), ("ours", run_guest)):
        root = tmp_path / side
        root.mkdir()
        (root / "prog").write_bytes(Path("/bin/true").read_bytes())
        (root / "script").write_text(f"#!{root}/prog\n")
        for name in ("prog", "script"):
            (root / name).chmod(0o755)
        (root / "self").write_bytes(program.read_bytes())
        (root / "self").chmod(0o755)
        (root / "data").write_bytes(bytes(range(256)) * 48)
        options = {"allow_write": [root]} if side == "ours" else {}
        outcome = run(root / "self", *words, cwd=root, **options)
        assert outcome.status == 0, outcome
        lines.append(outcome.lines)
    assert lines[1] == lines[0]
    return lines[0]


BUSY = """
int main(int argc, char **argv) {
    char *none[] = {"x", 0};
    const char *programs[] = {"prog", "script"};
    show("own program", open("self", O_WRONLY));
    show("own program, cut", open("self", O_RDONLY | O_TRUNC));
    show("own program, truncate", truncate("self", 5));
    show("own program, exe", open("/proc/self/exe", O_RDWR));
    show("own program, read", open("self", O_RDONLY) >= 0);
    show("another program", open("prog", O_WRONLY) >= 0);
    for (int i = 0; i < 2; i++)
        show(programs[i], execve(programs[i], none, 0));
    for (int fd = 3; fd < 20; fd++)
        close(fd);
    int fd = open("prog", O_RDWR);
    char *map = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
    show("a descriptor", execve("prog", none, 0));
    close(fd);
    show("a mapping", execve("prog", none, 0));
    munmap(map, 4096);
    fd = open("prog", O_WRONLY);
    int pid = fork();
    if (!pid)
        pause();
    close(fd);
    show("a descriptor of another process", execve("prog", none, 0));
    kill(pid, SIGKILL);
    waitpid(pid, 0, 0);
    int from = open("/bin/sleep", O_RDONLY), to = open("sleep", O_WRONLY | O_CREAT, 0755);
    while (sendfile(to, from, 0, 1 << 20) > 0);
    close(to);
    int begun[2];
    pipe2(begun, O_CLOEXEC);
    char *sleeps[] = {"sleep", "100", 0};
    if (!(pid = fork()))
        execve("sleep", sleeps, 0);
    close(begun[1]);
    read(begun[0], &fd, 1);
    show("another's program", open("sleep", O_WRONLY));
    show("another's program, truncate", truncate("sleep", 5));
    show("another's program, read", open("sleep", O_RDONLY) >= 0);
    kill(pid, SIGKILL);
    waitpid(pid, 0, 0);
    show("a program that ended", open("sleep", O_WRONLY) >= 0);
    for (int fd = 3; fd < 20; fd++)
        close(fd);
    fd = open("script", O_WRONLY);
    show("a script that is written", execve("script", none, 0));
    close(fd);
    fd = open("prog", O_RDONLY);
    map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    printf("last\\n");
    fflush(stdout);
    show("readers", execve("script", none, 0));
    return 1;
}
"""


def test_programs_that_run_or_are_written_are_busy(compile_guest, tmp_path):
    lines = compare(compile_guest("busy", source=HEADERS + BUSY), tmp_path)
    assert sum("ETXTBSY" in line for line in lines) == 12
    assert lines[-1] == "last"


READONLY = """
int main(int argc, char **argv) {
    const char *names[] = {"data", "/dev/zero"};
    for (int i = 0; i < 2; i++)
        for (int mode = 0; mode < 3; mode++)
            for (int kind = MAP_SHARED; kind <= MAP_PRIVATE; kind++)
                for (int closed = 0; closed < 2; closed++) {
                    int fd = open(names[i], mode);
                    char *p = mmap(0, 8192, PROT_READ, kind, fd, 0);
                    printf("%s mode %d kind %d closed %d\\n", names[i], mode, kind, closed);
                    if (p == MAP_FAILED) {
                        show("mmap", -1);
                        continue;
                    }
                    if (closed)
                        close(fd);
                    show("write", mprotect(p, 4096, PROT_WRITE));
                    show("read and write", mprotect(p, 8192, PROT_READ | PROT_WRITE));
                    char *q = mremap(p, 8192, 16384, MREMAP_MAYMOVE);
                    show("moved", q == MAP_FAILED ? -1 : mprotect(q, 4096, PROT_READ | PROT_WRITE));
                    q = q == MAP_FAILED ? p : q;
                    show("all rights", mprotect(q, 4096, 7));
                    show("none", mprotect(q, 4096, 0));
                    show("again", mprotect(q, 4096, PROT_WRITE));
                }
}
"""


def test_a_mapping_of_a_file_that_was_opened_to_be_read_never_becomes_writable(compile_guest, tmp_path):
    lines = compare(compile_guest("readonly", source=HEADERS + READONLY), tmp_path)
    assert any("EACCES" in line for line in lines)


def test_a_mapping_from_where_nothing_may_be_executed_never_becomes_executable(compile_guest, tmp_path, monkeypatch):
    body = """
    int main(int argc, char **argv) {
        int fd = open(argv[1], O_RDONLY);
        show("mmap", mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
        char *p = mmap(0, 8192, PROT_READ, MAP_PRIVATE, fd, 0);
        close(fd);
        show("exec", mprotect(p, 4096, PROT_READ | PROT_EXEC));
        show("write", mprotect(p, 4096, PROT_READ | PROT_WRITE));
    }"""
    program = compile_guest("noexec", "-static", source=HEADERS + body)
    (tmp_path / "f").write_bytes(bytes(9000))
    monkeypatch.setattr(HostFile, "no_exec", lambda self: True)
    lines = run_guest(program, tmp_path / "f").lines
    assert lines == ["mmap: -1 EPERM", "exec: -1 EACCES", "write: 0 "]


DIRECT = """
static char *block, *source;
int main(int argc, char **argv) {
    posix_memalign((void **)&block, 4096, 1 << 20), posix_memalign((void **)&source, 4096, 1 << 20);
    for (int i = 0; i < 1 << 20; i++)
        source[i] = i * 7 >> 3;
    int fd = open("data", O_RDWR | O_DIRECT);
    char *map = argc > 1 ? mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : 0;
    long sizes[] = {4096, 512, 100, 8192, 12288, 4097, 0, 600000, 1 << 19, (1 << 18) + 512, (1 << 18) + 1};
    for (int at = 0; at < 3; at++)
        for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            char *p = block + (at == 0 ? 0 : at == 1 ? 512 : 7);
            printf("size %ld at %ld\\n", sizes[i], (long)(p - block));
            show("pwrite", pwrite(fd, source + (p - block), sizes[i] > 20000 && at ? 0 : sizes[i], 4096));
            show("pread", pread(fd, p, sizes[i], 0));
            show("pread past", pread(fd, p, sizes[i], 8192 + 512));
            show("pread odd", pread(fd, p, sizes[i], 100));
        }
    lseek(fd, 4096, SEEK_SET);
    show("read", read(fd, block, 8192));
    struct iovec iov[2] = {{block, 4096}, {block + 8192, 4096}}, odd[2] = {{block, 4096}, {block + 8193, 4096}};
    show("readv", preadv(fd, iov, 2, 0));
    show("readv odd", preadv(fd, odd, 2, 0));
    show("off", fcntl(fd, F_SETFL, 0));
    show("pread odd", pread(fd, block + 7, 100, 3));
    show("on", fcntl(fd, F_SETFL, O_DIRECT));
    show("pread odd", pread(fd, block + 7, 100, 3));
    unsigned long sum = 5381;
    struct stat s;
    fstat(fd, &s);
    fcntl(fd, F_SETFL, 0);
    long n = pread(fd, block, 1 << 20, 0);
    for (long i = 0; i < n; i++)
        sum = sum * 33 + (unsigned char)block[i];
    printf("%ld %ld %lx\\n", (long)s.st_size, n, sum);
}
"""


@pytest.mark.parametrize("mapped", [False, True])
def test_direct_transfers_ask_for_alignment_as_on_the_host(compile_guest, tmp_path, mapped):
    compare(compile_guest("direct", source=HEADERS + DIRECT), tmp_path, *(["mapped"] if mapped else []))


IOCTLS = """
int main(int argc, char **argv) {
    int data = open("data", O_RDWR), to = open("copy", O_RDWR | O_CREAT, 0600), null = open("/dev/null", O_RDWR);
    int dir = open(".", O_RDONLY), pair[2], reader = open("data", O_RDONLY), place = open("data", O_PATH);
    pipe(pair);
    int fds[] = {data, dir, null, pair[0], place};
    for (int i = 0; i < 5; i++) {
        int n = 0;
        long long size = 0;
        long flags = 0x1234567800000000;
        printf("descriptor %d\\n", i);
        show("FIGETBSZ", ioctl(fds[i], FIGETBSZ, &n));
        printf("%d\\n", n);
        show("FS_IOC_GETFLAGS", ioctl(fds[i], FS_IOC_GETFLAGS, &flags));
        printf("%lx\\n", flags >> 32);
        show("FIOQSIZE", ioctl(fds[i], FIOQSIZE, &size));
        printf("%lld\\n", i == 1 ? 0 : size);
        show("TCGETS", ioctl(fds[i], TCGETS, &size));
        show("FIGETBSZ to nowhere", ioctl(fds[i], FIGETBSZ, 8));
        show("none", ioctl(fds[i], 0x12345678, &size));
        show("FIONBIO", ioctl(fds[i], FIONBIO, &n));
    }
    int n = -1;
    lseek(data, 100, SEEK_SET);
    show("FIONREAD", ioctl(data, FIONREAD, &n));
    printf("%d\\n", n);
    write(pair[1], "abcde", 5);
    show("FIONREAD of a pipe", ioctl(pair[0], FIONREAD, &n));
    printf("%d\\n", n);
    fsync(data);
    struct { struct fiemap map; struct fiemap_extent extents[4]; } m = {{.fm_length = -1, .fm_extent_count = 4}};
    show("FIEMAP", ioctl(data, FIEMAP, &m));
    printf("%u %u %llu\\n", m.map.fm_mapped_extents, m.map.fm_extent_count, m.extents[0].fe_length);
    m.map.fm_extent_count = 0;
    show("FIEMAP, count", ioctl(data, FIEMAP, &m));
    printf("%u\\n", m.map.fm_mapped_extents);
    m.map.fm_extent_count = 0xffffffff;
    show("FIEMAP, too many", ioctl(data, FIEMAP, &m));
    m.map.fm_extent_count = 4, m.map.fm_flags = 0x80;
    show("FIEMAP, flags", ioctl(data, FIEMAP, &m));
    printf("%x\\n", m.map.fm_flags);
    show("FIEMAP of a pipe", ioctl(pair[0], FIEMAP, &m));
    show("FICLONE", ioctl(to, FICLONE, data));
    show("FICLONE to a reader", ioctl(reader, FICLONE, data));
    show("FICLONE of none", ioctl(to, FICLONE, 99));
    struct file_clone_range range = {data, 0, 0, 0};
    show("FICLONERANGE", ioctl(to, FICLONERANGE, &range));
    show("FICLONERANGE of a pipe", (range.src_fd = pair[0], ioctl(to, FICLONERANGE, &range)));
    long flags = 0;
    ioctl(to, FS_IOC_GETFLAGS, &flags);
    show("FS_IOC_SETFLAGS", ioctl(to, FS_IOC_SETFLAGS, &flags));
    show("F_SETOWN", fcntl(pair[0], F_SETOWN, getpid()));
    show("F_GETOWN", fcntl(pair[0], F_GETOWN) == getpid());
    show("F_SETSIG", fcntl(pair[0], F_SETSIG, 34));
    show("F_GETSIG", fcntl(pair[0], F_GETSIG));
    show("F_SETSIG, bad", fcntl(pair[0], F_SETSIG, 65));
    show("F_GETPIPE_SZ of a file", fcntl(data, F_GETPIPE_SZ));
    show("F_SETPIPE_SZ", fcntl(pair[0], F_SETPIPE_SZ, 8192));
    show("F_GETLEASE", fcntl(data, F_GETLEASE));
    show("F_GETLEASE of a pipe", fcntl(pair[0], F_GETLEASE));
    show("F_DUPFD_QUERY", fcntl(data, 1027, dup(data)));
    show("F_DUPFD_QUERY, other", fcntl(data, 1027, reader));
}
"""


def test_ioctl_and_fcntl_answer_as_on_the_host(compile_guest, tmp_path):
    compare(compile_guest("ioctls", source=HEADERS + IOCTLS), tmp_path)


def test_a_file_that_is_cut_when_it_is_opened_is_cut_in_mappings_too(compile_guest, tmp_path):
    body = """
    int main(int argc, char **argv) {
        int modes[] = {O_RDONLY, O_WRONLY, O_RDWR};
        for (int i = 0; i < 3; i++) {
            int fd = open("data", O_RDWR);
            ftruncate(fd, 4096), pwrite(fd, "text", 4, 0);
            char *map = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0), *copy = mmap(0, 4096, 3, MAP_PRIVATE, fd, 0);
            printf("%.4s\\n", map);
            copy[0] = 'T';
            show("cut", open("data", modes[i] | O_TRUNC) >= 0);
            ftruncate(fd, 4096);
            printf("%d %d\\n", map[0], copy[0]);
        }
        chmod("data", 0400);
        show("cut", open("data", O_RDONLY | O_TRUNC | O_DIRECTORY));
    }"""
    compare(compile_guest("cut", source=HEADERS + body), tmp_path)
