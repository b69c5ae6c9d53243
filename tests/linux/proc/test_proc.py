"""/proc: what stands there has the form that the host's has, and can be read, sought and written as there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..conftest import run_guest, run_host

PROCESS = [
    "cgroup", "cmdline", "comm", "coredump_filter", "cpuset", "environ", "fdinfo/0", "gid_map", "io",
    "ksm_merging_pages", "ksm_stat", "limits", "loginuid", "oom_adj", "oom_score", "oom_score_adj", "personality",
    "projid_map", "sessionid", "setgroups", "smaps", "smaps_rollup", "stat", "statm", "status", "task/self/status",
    "timerslack_ns", "uid_map", "wchan",
]  # fmt: skip
MACHINE = [
    "filesystems", "loadavg", "mounts", "uptime", "version", "sys/fs/aio-max-nr", "sys/fs/file-max", "sys/fs/file-nr",
    "sys/fs/nr_open", "sys/fs/pipe-max-size", "sys/kernel/cap_last_cap", "sys/kernel/core_pattern",
    "sys/kernel/domainname", "sys/kernel/hostname", "sys/kernel/ngroups_max", "sys/kernel/osrelease",
    "sys/kernel/ostype", "sys/kernel/pid_max", "sys/kernel/random/boot_id", "sys/kernel/random/entropy_avail",
    "sys/kernel/random/poolsize", "sys/kernel/random/uuid", "sys/kernel/threads-max", "sys/kernel/version",
    "sys/vm/max_map_count", "sys/vm/mmap_min_addr", "sys/vm/overcommit_memory", "sys/vm/overcommit_ratio",
    "sys/vm/swappiness",
]  # fmt: skip


def form(text: bytes) -> list[str]:
    """A text with numbers, colours of words and repetitions taken out: keys, units, separators, fields."""
    lines = []
    for line in text.decode(errors="replace").replace("\0", "\n").splitlines():
        key, colon, value = line.partition(":")
        if not colon or not re.fullmatch(r"[A-Za-z_ ()]+", key):
            key, value = "", line
        shape = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", "UUID", value)
        shape = re.sub(r"\b[0-9a-f]{8,16}-[0-9a-f]{8,16}\b", "RANGE", shape)
        shape = re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{16}\b|-?\d+(\.\d+)?", "N", shape)
        shape = re.sub(r"\s+", lambda m: " " if " " in m[0] else m[0], shape)
        lines.append(f"{key}{colon}{shape}")
    return lines


def both(tmp_path: Path, *command: str) -> tuple[bytes, bytes]:
    return run_host(*command).stdout, run_guest(*command).stdout


def name_of(name: str) -> list[str]:
    path = f"/proc/self/{name}".replace("self/task/self", "thread-self")
    return ["/bin/cat", path]


@pytest.mark.parametrize("name", PROCESS)
def test_a_file_of_the_process_has_the_form_of_the_hosts(tmp_path, name, engine_name):
    if name.startswith("ksm") and not Path("/proc/self", name).exists():
        pytest.skip("this kernel has no such file")
    host, ours = map(form, both(tmp_path, *name_of(name)))
    assert host
    if name == "smaps":  # as many areas as there are; the first is the program's
        if engine_name == "unicorn":  # whose CPU has no protection keys
            host = [line for line in host if not line.startswith("ProtectionKey")]
        one = next(number for number, line in enumerate(host) if line.startswith("VmFlags")) + 1
        first = [line.split(":")[0] for line in ours]
        assert first[1:one] == [line.split(":")[0] for line in host][1:one]
        assert len(ours) % one == 0
        return
    if name == "cgroup":
        assert ours[-1] == host[-1]
        return
    if name.endswith("status"):
        loose = ("Groups", "Seccomp", "Spec", "SigQ", "Cpus", "Mems", "Name", "State")
        for one, other in zip(ours, host, strict=True):
            assert one.split(":")[0] == other.split(":")[0]
            if not one.startswith(loose):
                assert one == other
        return
    assert ours == host


@pytest.mark.parametrize("name", MACHINE)
def test_a_file_of_the_machine_has_the_form_of_the_hosts(tmp_path, name):
    host, ours = both(tmp_path, "/bin/cat", f"/proc/{name}")
    if name in ("mounts", "filesystems"):
        fields = {len(line.split(b"\t" if name == "filesystems" else b" ")) for line in host.splitlines()}
        assert ours
        assert {len(line.split(b"\t" if name == "filesystems" else b" ")) for line in ours.splitlines()} <= fields
    elif name == "version":
        assert ours.split()[:3] == host.split()[:3]
    elif name.startswith("sys/kernel/") and name.rpartition("/")[2] in ("hostname", "osrelease", "ostype", "version"):
        assert ours == host
    else:
        assert form(ours) == form(host)


def test_meminfo_and_stat_of_the_machine_have_lines_that_the_host_has(tmp_path):
    for name, lines in (("meminfo", r"^(\w+(?:\(\w+\))?):\s+\d+(?: kB)?$"), ("stat", r"^(\w+)( \s?\d+)+$")):
        host, ours = both(tmp_path, "/bin/cat", f"/proc/{name}")
        keys = re.findall(lines, ours.decode(), re.MULTILINE)
        there = {key[0] if isinstance(key, tuple) else key for key in keys}
        assert len(there) == len(ours.splitlines())
        assert there <= {line.split()[0].rstrip(":") for line in host.decode().splitlines()}


def test_identifiers_are_fresh_and_that_of_the_boot_is_not():
    script = "for i in 1 2; do read a < /proc/sys/kernel/random/$0; echo $a; done"
    for name, alike in (("uuid", False), ("boot_id", True)):
        first, second = run_guest("/bin/bash", "-c", script, name).lines
        assert (first == second) is alike, name


def test_files_are_read_in_pieces_sought_and_written_as_on_the_host(tmp_path, compile_guest):
    program = compile_guest("procfiles")
    host = run_host(program, tmp_path / "file")
    (tmp_path / "file").unlink()
    ours = run_guest(program, tmp_path / "file", allow_write=[str(tmp_path)])
    assert ours.lines == host.lines
    assert len(host.lines) > 40


def test_modes_and_types_are_those_of_the_host(tmp_path):
    names = (
        "auxv cgroup clear_refs cmdline comm coredump_filter environ exe fd fdinfo io limits loginuid maps mem mounts "
    )
    names += "ns oom_score_adj pagemap personality root smaps smaps_rollup stat status task uid_map ns/pid ns/user"
    paths = [f"/proc/self/{name}" for name in names.split()]
    paths += ["/proc/sys/kernel/random/uuid", "/proc/sys/vm/overcommit_memory", "/proc/sys", "/proc/sys/kernel"]
    host, ours = both(tmp_path, "/usr/bin/stat", "-c", "%n %F %a %u %g", *paths)
    assert ours == host


def test_name_spaces_are_told_apart_by_their_numbers(tmp_path):
    command = ["/usr/bin/stat", "-L", "-c", "%i %a", *(f"/proc/self/ns/{kind}" for kind in ("pid", "user", "mnt"))]
    ours = run_guest(*command).lines
    assert len({line.split()[0] for line in ours}) == 3
    for line, kind in zip(ours, ("pid", "user", "mnt"), strict=True):
        link = run_guest("/usr/bin/readlink", f"/proc/self/ns/{kind}").lines[0]
        assert link == f"{kind}:[{line.split()[0]}]"


def flags_by_kind(smaps: bytes) -> dict[tuple[str, str], str]:
    """VmFlags of areas by their permissions and what they are."""
    block = r"^[0-9a-f]+-\S+ (\S+) \S+ \S+ \S+ *(.*)\n(?:\w+:.*\n)*?VmFlags: (.*)$"
    blocks = re.findall(block, smaps.decode(), re.MULTILINE)
    return {(flags, "file" if name[:1] == "/" else name): told for flags, name, told in blocks}


def test_flags_of_areas_are_those_of_the_host(tmp_path):
    host, ours = map(flags_by_kind, both(tmp_path, "/bin/cat", "/proc/self/smaps"))
    assert {("rw-p", "[stack]"), ("rw-p", "[heap]"), ("r-xp", "file"), ("rw-p", "file"), ("rw-p", "")} <= ours.keys()
    for kinds in (host, ours):
        del kinds["r--p", "file"]  # Linux remembers of an area that it was writable once (ac)
    assert {kind: told for kind, told in host.items() if kind in ours} == ours


def test_smaps_and_its_sum_agree_with_statm(compile_guest):
    source = r"""
    #include <stdio.h>
    #include <string.h>
    #include <sys/mman.h>
    static char t[1 << 18];
    static long sum(const char *path, const char *key) {
        FILE *f = fopen(path, "r"); long n, all = 0; char line[500];
        while (fgets(line, 500, f))
            if (!strncmp(line, key, strlen(key)) && sscanf(line + strlen(key), "%ld", &n)) all += n;
        fclose(f); return all; }
    int main(void) {
        long a = sum("/proc/self/smaps_rollup", "Rss:"), d = sum("/proc/self/smaps", "Private_Dirty:");
        char *p = mmap(0, 1 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(p, 1, 400 << 10);
        printf("%d", sum("/proc/self/smaps", "Rss:") - a >= 400);
        printf(" %d", sum("/proc/self/smaps", "Private_Dirty:") - d >= 400);
        printf(" %d", sum("/proc/self/smaps", "Size:") - sum("/proc/self/status", "VmSize:") <= 4); /* vsyscall */
        printf(" %d", sum("/proc/self/status", "VmRSS:") == sum("/proc/self/status", "RssAnon:")
               + sum("/proc/self/status", "RssFile:") + sum("/proc/self/status", "RssShmem:"));
        mlock(p, 8192);
        printf(" %ld %ld\n", sum("/proc/self/status", "VmLck:"), sum("/proc/self/smaps", "Locked:"));
    }"""
    program = compile_guest("smaps", "-static", source=source)
    assert run_guest(program).lines == run_host(program).lines == ["1 1 1 1 8 8"]


def test_a_file_about_memory_is_empty_once_that_memory_is_gone(compile_guest):
    source = r"""
    #include <errno.h>
    #include <fcntl.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <unistd.h>
    int main(int c, char **v) {
        char b[16], a[40];
        if (c == 1) {
            int m = open("/proc/self/mem", O_RDWR), p = open("/proc/self/pagemap", O_RDONLY);
            printf("%zd %zd\n", pread(m, b, 16, (long)v[0] & -16), pread(p, b, 8, (long)v[0] / 4096 * 8));
            fflush(stdout);
            sprintf(a, "%ld", (long)v[0]);
            char s[2][4]; sprintf(s[0], "%d", m); sprintf(s[1], "%d", p);
            execl("/proc/self/exe", v[0], s[0], s[1], a, (char *)0);
        }
        long at = atol(v[3]);
        printf("%zd", pread(atoi(v[1]), b, 16, at & -16));
        printf(" %zd", pwrite(atoi(v[1]), b, 1, at));
        printf(" %zd\n", pread(atoi(v[2]), b, 8, at / 4096 * 8));
    }"""
    program = compile_guest("outlived", source=source)
    assert run_guest(program).lines == run_host(program).lines == ["16 8", "0 0 0"]


def test_memory_is_read_and_written_in_large_pieces(compile_guest):
    source = r"""
    #include <fcntl.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <unistd.h>
    int main(void) {
        size_t n = 3 << 20; char *p = mmap(0, n + 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *b = malloc(n + 8192);
        for (size_t i = 0; i < n; i++) p[i] = i * 7 >> 3;
        munmap(p + n, 4096);
        int m = open("/proc/self/mem", O_RDWR);
        printf("%zd", pread(m, b, n + 8192, (long)p));
        printf(" %d", memcmp(b, p, n));
        memset(b, 5, n + 8192);
        printf(" %zd", pwrite(m, b, n + 8192, (long)p));
        printf(" %d\n", p[0] == 5 && p[n - 1] == 5);
    }"""
    program = compile_guest("largemem", source=source)
    assert run_guest(program).lines == run_host(program).lines == [f"{3 << 20} 0 {3 << 20} 1"]
