"""The options of `axptr run`: what they print, and what they let the program do."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ENVIRONMENT, axptr, run_axptr, run_host


def run(*arguments: str | Path, **options: object) -> tuple[str, str, int]:
    done = run_axptr("run", *arguments, **options)
    return done.stdout.decode(), done.stderr.decode(), done.returncode


def test_without_options_axptr_says_nothing() -> None:
    assert run("--", "/bin/echo", "hello") == ("hello\n", "", 0)


def test_the_guests_own_options_are_not_ours() -> None:
    assert run("--", "/bin/echo", "--strace", "--", "-n") == ("--strace -- -n\n", "", 0)
    assert run("/bin/echo", "--stats", "--", "x") == ("--stats -- x\n", "", 0)


# --strace


def test_strace_shows_calls_with_names_strings_flags_and_results(tree: Path) -> None:
    out, trace, status = run("--strace", "--", "/bin/cat", tree / "words", tree / "nowhere")
    assert (out, status) == ((tree / "words").read_text(), 1)
    lines = trace.splitlines()
    assert any(re.match(rf'openat\(AT_FDCWD, "{tree}/words", O_RDONLY\) += \d+$', line) for line in lines)
    failed = rf'openat\(AT_FDCWD, "{tree}/nowhere", O_RDONLY\) = -1 ENOENT \(No such file or directory\)$'
    assert any(re.match(failed, line) for line in lines)
    assert any(re.match(r'write\(1, "pear\\napple\\nfig\\napple\\n\\nquince 12\\n", 32\) = 32', line) for line in lines)
    assert any(
        re.match(r"mmap\(NULL, \d+, PROT_READ\S*, MAP_PRIVATE\S*, -?\d+, 0x?\w*\) = 0x7", line) for line in lines
    )
    assert any(re.match(r"(newfstatat|fstat)\(.*st_mode=S_IFREG\|0\d+, st_size=\d+, \.\.\.\}", line) for line in lines)
    assert lines[-2:] == ["exit_group(1)                           = ?", "+++ exited with 1 +++"]


def test_strace_goes_to_a_file_and_leaves_standard_error_alone(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    out, err, status = run("--strace", "-o", trace, "--stats", "--", "/bin/echo", "x")
    assert (out, err, status) == ("x\n", "", 0)
    text = trace.read_text()
    assert 'write(1, "x\\n", 2)' in text
    assert "axptr: statistics" in text


def test_strace_shows_an_execve_with_the_arguments_it_was_called_with() -> None:
    out, trace, _ = run("--strace", "--", "/usr/bin/env", "A=1", "/bin/echo", "x y")
    assert out == "x y\n"
    assert re.search(r'^execve\("/bin/echo", \["/bin/echo", "x y"\], 0x[0-9a-f]+ /\* \d+ vars \*/\) = 0$', trace, re.M)


def test_strace_shows_the_call_that_a_run_ended_in(compile_c: Callable[..., Path]) -> None:
    program = compile_c(
        "#include <unistd.h>\nint main(void) { char c; int p[2]; pipe(p); read(p[0], &c, 1); }", "-static"
    )
    _, err, status = run("--strace", "--timeout", "0.5", "--", program)
    assert status == 124
    assert re.search(r"^read\(\d, 0x[0-9a-f]+, 1 <unfinished \.\.\.>\n\+\+\+ timed out \+\+\+$", err, re.M)


def test_trace_that_cannot_be_written_does_not_disturb_the_program() -> None:
    out, err, status = run("--strace", "-o", "/dev/full", "--", "/bin/echo", "hello")
    assert (out, status) == ("hello\n", 0)
    assert err == "axptr: --output: No space left on device\n"


@pytest.mark.parametrize("closing", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_closed_for_the_program_too(closing: str, tmp_path: Path) -> None:
    """Not what axptr opens meanwhile: its own memory, or the trace."""
    trace = tmp_path / "trace"
    script = f'"$0" -m axptr run --strace -o "$1" -- /bin/sh -c "echo out; echo err >&2; read line" {closing}'
    ours = run_host("/bin/sh", "-c", script, sys.executable, trace)
    host = run_host("/bin/sh", "-c", f'/bin/sh -c "echo out; echo err >&2; read line" {closing}')
    assert (ours.stdout, ours.returncode) == (host.stdout, host.returncode), ours.stderr
    assert trace.read_text().endswith(f"+++ exited with {host.returncode} +++\n")


BAD_POINTERS = r"""
#include <unistd.h>
#include <sys/syscall.h>
#include <sys/mman.h>
#include <fcntl.h>
int main(void)
{
    syscall(SYS_write, 1, (void *)0x10, 8);
    syscall(SYS_uname, "read-only");
    syscall(SYS_openat, AT_FDCWD, (void *)-1L, 0);
    syscall(SYS_openat, AT_FDCWD, 0L, 0);
    syscall(SYS_read, 0, 0xffff800000000000, 8);
    return 0;
}
"""


def test_strace_says_why_an_address_was_bad(compile_c: Callable[..., Path]) -> None:
    _, trace, _ = run("--strace", "--", compile_c(BAD_POINTERS, "-static"), input=b"some input")
    lines = {line.split("(")[0] + line.split("(")[1][:1]: line for line in trace.splitlines() if "EFAULT" in line}
    assert re.search(r"write\(1, 0x10, 8\) += -1 EFAULT \(.*read.* 0x10.*\)", trace)
    assert re.search(r"uname\(0x[0-9a-f]+\) += -1 EFAULT \(.*r--p.*\)", trace)
    assert re.search(r"openat\(AT_FDCWD, 0xffffffffffffffff, O_RDONLY\) = -1 EFAULT \(.*\)", trace)
    assert re.search(r"openat\(AT_FDCWD, NULL, O_RDONLY\) += -1 EFAULT \(.*\)", trace)
    assert len(lines) >= 4


def test_strace_shows_a_call_that_nobody_serves_and_the_summary_names_it(
    compile_c: Callable[..., Path],
) -> None:
    program = compile_c("#include <unistd.h>\nint main(void) { syscall(236, 1, 2); syscall(236, 1, 2); syscall(999); }")
    _, err, _ = run("--strace", "--", program)
    assert re.search(r"vserver\(.*\) += -1 ENOSYS \(", err)
    assert re.search(r"syscall_999\(.*\) += -1 ENOSYS \(", err)
    summary = "axptr: system calls not implemented: vserver (236) 2 times, syscall_999 (999)"
    assert summary in err.splitlines()
    _, quiet, _ = run("--", program)
    assert quiet.splitlines() == [summary]


# --stats and --maps


def test_stats_count_calls_faults_pages_and_frames() -> None:
    out, err, status = run("--stats", "--", "/bin/echo", "hello")
    assert (out, status) == ("hello\n", 0)
    figures = dict(re.findall(r"^  (\w[\w ]*?\w)  +([\d,]+)", err, re.MULTILINE))
    for name in ("wall time", "system calls", "page faults", "pages populated", "frames at the peak"):
        assert int(figures[name].replace(",", "")) > 0, (name, err)
    assert re.search(r"^ +1  exit_group$", err, re.MULTILINE)
    assert re.search(r"^ +1  write$", err, re.MULTILINE)


def test_maps_and_the_picture_name_the_heap_and_the_stack(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    program = compile_c("#include <unistd.h>\nint main(void) { *(char *)sbrk(8192) = 1; return 0; }", "-static")
    picture = tmp_path / "areas.svg"
    _, err, _ = run("--maps", "--map", picture, "--", program)
    named = [line.split()[-1] for line in err.splitlines() if line.endswith("]") and "[v" not in line]
    assert named == ["[heap]", "[stack]"]
    texts = [element.text or "" for element in ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text")]
    drawn = [text.split()[0] for text in texts if text.startswith("[") and not text.startswith("[v")]
    assert drawn == ["[heap]", "[stack]"]


def test_a_report_names_the_heap(compile_c: Callable[..., Path]) -> None:
    program = compile_c(
        "#include <unistd.h>\nint main(void) { *((char *)sbrk(4096) + 8192) = 1; return 0; }", "-static"
    )
    assert " rw- [heap]  (" in run("--", program)[1]


def test_maps_are_those_of_proc_pid_maps(compile_c: Callable[..., Path]) -> None:
    program = compile_c("int main(void) { return 0; }", "-static")
    _, err, _ = run("--maps", "--", program)
    lines = err.splitlines()
    assert len(lines) >= 4
    form = re.compile(
        r"[0-9a-f]{8,16}-[0-9a-f]{8,16} [r-][w-][x-][ps] [0-9a-f]{8} [0-9a-f]{2}:[0-9a-f]{2} \d+( +\S.*)?$"
    )
    for line in lines:
        assert form.match(line), line
    assert any(line.endswith("[stack]") for line in lines)
    assert any(line.endswith(str(program)) and " r-xp " in line for line in lines)


# --map


def test_map_draws_the_areas_that_were_there_at_the_end(tmp_path: Path) -> None:
    picture = tmp_path / "echo.svg"
    assert run("--map", picture, "--", "/bin/echo", "a<b") == ("a<b\n", "", 0)
    root = ElementTree.parse(picture).getroot()
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert words[0] == "/bin/echo a<b"
    assert any(word and word.endswith("libc.so.6") for word in words)
    assert any(word and word.startswith("[stack]") for word in words)
    first = picture.read_bytes()
    run("--map", picture, "--", "/bin/echo", "a<b")
    assert picture.read_bytes() == first


def test_map_is_drawn_of_a_program_that_died_too(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    program = compile_c("int main() { *(volatile int *)8 = 0; }")
    assert run("--map", tmp_path / "p.svg", "--", program)[2] == 139
    assert (tmp_path / "p.svg").read_text().endswith("</svg>\n")


def test_map_that_cannot_be_written_is_one_line_before_the_run(tmp_path: Path) -> None:
    for path in tmp_path / "no" / "p.svg", tmp_path:
        out, err, status = run("--map", path, "--", "/bin/echo", "x")
        assert (out, status) == ("", 125), path
        assert re.fullmatch(rf"axptr run: --map: {re.escape(str(tmp_path))}.*\n", err)


def test_map_that_fails_at_the_end_leaves_the_programs_status() -> None:
    out, err, status = run("--map", "/dev/full", "--", "/bin/sh", "-c", "echo x; exit 3")
    assert (out, err, status) == ("x\n", "axptr: --map: /dev/full: No space left on device\n", 3)


# --memory-limit


ALLOCATES = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
int main(int argc, char **argv)
{
    size_t size = (size_t)atoi(argv[1]) << 20;
    char *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) { puts("refused"); return 3; }
    for (size_t at = 0; at < size; at += 4096) p[at] = 1;
    puts("all touched");
    return 0;
}
"""


def test_memory_limit_lets_a_program_use_what_is_below_it(compile_c: Callable[..., Path]) -> None:
    program = compile_c(ALLOCATES, "-static")
    assert run("--memory-limit", "64M", "--", program, "32") == ("all touched\n", "", 0)


def test_memory_limit_ends_a_program_that_touches_more(compile_c: Callable[..., Path]) -> None:
    program = compile_c(ALLOCATES, "-static")
    out, err, status = run("--memory-limit", "16M", "--", program, "64")
    assert "all touched" not in out
    assert status == 128 + 9, (out, err, status)
    assert err.startswith("axptr: the program died of signal 9 (SIGKILL): no memory for the page at 0x")
    assert err.splitlines()[1] == "  it may hold 16 MiB, page tables included: --memory-limit"


def test_death_of_a_program_that_had_all_its_memory_names_the_limit(compile_c: Callable[..., Path]) -> None:
    program = compile_c(
        r"""
        #include <fcntl.h>
        #include <stdlib.h>
        #include <sys/mman.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
            char *p = mmap(0, 1 << 28, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            int zero = open("/dev/zero", O_RDONLY);
            if (argc > 1) while (read(zero, p, 4096) == 4096) p += 4096;
            abort();
        }""",
        "-static",
    )
    assert "--memory-limit" in run("--memory-limit", "16M", "--", program, "fill")[1]
    assert "--memory-limit" not in run("--memory-limit", "16M", "--", program)[1]
    assert "--memory-limit" not in run("--", program)[1]


def test_memory_limit_too_small_to_load_is_one_line() -> None:
    out, err, status = run("--memory-limit", "16K", "--", "/bin/true")
    assert (out, status) == ("", 126), err
    assert len(err.splitlines()) == 1
    assert err.endswith(" (--memory-limit 16K)\n")


@pytest.mark.parametrize("kib", [24_000, 100_000, 1_000_000])
def test_a_host_that_gives_too_little_address_space_is_one_line(kib: int) -> None:
    line = f"ulimit -v {kib}; exec {shlex.join(axptr('run'))} -- /bin/true"
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=60)
    assert done.returncode == 125, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("axptr: ")


# --timeout


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("int main(void) { for (;;); }", id="computes"),
        pytest.param("#include <unistd.h>\nint main(void) { for (;;) getppid(); }", id="calls"),
        pytest.param("#include <unistd.h>\nint main(void) { sleep(100); }", id="sleeps"),
        pytest.param(
            "#include <unistd.h>\nint main(void) { char c; int p[2]; pipe(p); read(p[0], &c, 1); }",
            id="waits",
        ),
    ],
)
def test_timeout_ends_a_program_that_does_not(compile_c: Callable[..., Path], program: str) -> None:
    path = compile_c(program, "-static")
    start = time.monotonic()
    out, err, status = run("--timeout", "0.5", "--", path)
    assert (out, status) == ("", 124)
    assert time.monotonic() - start < 50
    assert err.startswith("axptr: the time was up after 0.5")


def test_timeout_that_is_not_reached_changes_nothing() -> None:
    assert run("--timeout", "1m", "--", "/bin/echo", "quick") == ("quick\n", "", 0)


# --allow-write, --env


def test_files_cannot_be_written_unless_allowed(tmp_path: Path) -> None:
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    allowed.mkdir()
    other.mkdir()
    target = allowed / "file"
    out, err, status = run("--", "/usr/bin/tee", target, input=b"data")
    assert (out, status) == ("data", 1)
    assert "Read-only file system" in err
    assert not target.exists()

    out, err, status = run("--allow-write", allowed, "--", "/usr/bin/tee", target, other / "file", input=b"data")
    assert (out, status) == ("data", 1)
    assert "Read-only file system" in err
    assert target.read_bytes() == b"data"
    assert not (other / "file").exists()


def test_a_link_does_not_lead_out_of_an_allowed_directory(tmp_path: Path) -> None:
    allowed, secret = tmp_path / "allowed", tmp_path / "secret"
    allowed.mkdir()
    secret.write_text("untouched")
    (allowed / "link").symlink_to(secret)
    for path in (allowed / "link", allowed / ".." / "secret"):
        _, err, status = run("--allow-write", allowed, "--", "/usr/bin/tee", path, input=b"data")
        assert status == 1, path
        assert "Read-only file system" in err
        assert secret.read_text() == "untouched"


def test_env_sets_and_replaces_variables() -> None:
    out, _, _ = run("--env", "TZ=X=Y", "--env", "NEW=1", "--env", "EMPTY=", "--", "/usr/bin/env")
    expected = {**ENVIRONMENT, "TZ": "X=Y", "NEW": "1", "EMPTY": ""}
    assert dict(line.split("=", 1) for line in out.splitlines()) == expected
