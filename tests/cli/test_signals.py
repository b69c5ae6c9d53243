"""Programs that die of a signal, and a user who does not want to wait: exit status and report."""

from __future__ import annotations

import importlib.util
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ENVIRONMENT, axptr, run_axptr, run_host, status_of_shell

DEATHS = {
    "null": "*(volatile int *)0 = 42;",
    "read": "return *(volatile int *)0xdeadbeef000;",
    "kernel address": "return *(volatile char *)0xffff800000000000;",
    "read-only": '*(volatile char *)"constant" = 1;',
    "jump to nowhere": "((void (*)(void))0x1234)();",
    "jump to data": "static char code[] = {0xc3}; ((void (*)(void))code)();",
    "divide": "volatile int one = 1, zero = 0; return one / zero;",
    "undefined": '__asm__("ud2");',
    "breakpoint": '__asm__("int3");',
    "privileged": '__asm__("hlt");',
    "abort": "abort();",
    "kill": "kill(getpid(), 9);",
    "terminate": "raise(15);",
    "endless recursion": "return deep(1);",
}
PROLOGUE = """
#include <stdlib.h>
#include <signal.h>
#include <unistd.h>
int deep(volatile int n) { volatile char page[4096]; page[n & 7] = n; return deep(n + 1) + page[3]; }
"""


def dying(compile_c: Callable[..., Path], name: str) -> Path:
    return compile_c(f"{PROLOGUE}\nint main(void) {{ {DEATHS[name]} return 0; }}", "-static", "-O0", "-g0")


@pytest.mark.parametrize("name", DEATHS)
def test_death_has_the_hosts_signal_as_exit_status(compile_c: Callable[..., Path], name: str) -> None:
    program = dying(compile_c, name)
    host = run_host(program)
    ours = run_axptr("run", "--", program)
    assert ours.returncode == status_of_shell(host.returncode), ours.stderr.decode()
    number = -host.returncode
    first = ours.stderr.decode().splitlines()[0]
    assert first.startswith(f"axptr: the program died of signal {number} ({signal.Signals(number).name}): ")


def test_report_says_what_was_touched_where_and_what_is_near(compile_c: Callable[..., Path]) -> None:
    program = dying(compile_c, "null")
    report = run_axptr("run", "--", program).stderr.decode()
    lines = report.splitlines()
    assert "write of 4 bytes at 0x0" in lines[0] or "write" in lines[0]
    # The program is linked with symbols: the function is named.
    assert re.match(rf"  at 0x[0-9a-f]+ in {program}\+0x[0-9a-f]+ \(main\+0x[0-9a-f]+\)$", lines[1]), report
    if importlib.util.find_spec("capstone"):
        assert re.search(r"=> 0x[0-9a-f]+: [0-9a-f ]+ mov +dword ptr \[rax\], 0x2a", report)
    assert re.search(r"rax 0{16}", report)
    assert "areas near" in report
    assert re.search(rf"r-x {program} +\(0x[0-9a-f]+ is here\)", report)
    assert re.search(r"\(0x0 is 0x[0-9a-f]+ before its start\)", report)


def test_death_by_a_pipe_that_nobody_reads_is_silent() -> None:
    line = f"{shlex.join(axptr('run'))} -- /usr/bin/yes | head -n 1"
    done = subprocess.run(line, shell=True, capture_output=True, env=ENVIRONMENT, timeout=60)
    assert (done.stdout, done.stderr) == (b"y\n", b"")


def test_report_of_a_jump_to_nowhere_has_no_instructions(compile_c: Callable[..., Path]) -> None:
    report = run_axptr("run", "--", dying(compile_c, "jump to nowhere")).stderr.decode()
    assert "\n  at 0x1234\n    no instructions: nothing is mapped there\n" in report


def test_without_capstone_the_report_says_how_to_get_it(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "capstone.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'capstone'\", name='capstone')\n"
    )
    done = run_axptr("run", "--", dying(compile_c, "null"), env={**ENVIRONMENT, "PYTHONPATH": str(tmp_path)})
    report = done.stderr.decode()
    assert (
        "disassembly needs capstone: pip install 'axptr[disasm]'" in report.replace("  ", " ").splitlines()[3].strip()
    )
    assert done.returncode == 139


def test_strace_of_a_death_ends_with_the_signal(compile_c: Callable[..., Path]) -> None:
    done = run_axptr("run", "--strace", "--", dying(compile_c, "null"))
    trace = done.stderr.decode()
    assert "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL} ---\n+++ killed by SIGSEGV +++\n" in trace


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("for (;;);", id="computes"),
        pytest.param("for (;;) getppid();", id="calls"),
        pytest.param("sleep(100);", id="sleeps"),
        pytest.param("char c; read(0, &c, 1);", id="reads"),
    ],
)
def test_ctrl_c_ends_the_run_whatever_the_program_does(compile_c: Callable[..., Path], body: str) -> None:
    program = compile_c(f'{PROLOGUE}\nint main(void) {{ write(1, "ready", 5); {body} }}', "-static")
    process = subprocess.Popen(
        axptr("run", "--", program),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(5) == b"ready"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == b"axptr: interrupted\n"


@pytest.mark.parametrize(
    ("body", "last"),
    [
        pytest.param("for (;;);", 'write(1, "ready", 5)', id="computes"),
        pytest.param("char c; read(0, &c, 1);", "read(0, 0x", id="waits in a call"),
    ],
)
def test_ctrl_c_keeps_the_trace_the_statistics_and_the_areas(
    compile_c: Callable[..., Path], tmp_path: Path, body: str, last: str
) -> None:
    program = compile_c(f'{PROLOGUE}\nint main(void) {{ write(1, "ready", 5); {body} }}', "-static")
    output, picture = tmp_path / "output", tmp_path / "areas.svg"
    command = axptr("run", "--strace", "--stats", "--maps", "--map", picture, "--output", output, "--", program)
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(5) == b"ready"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == b"axptr: interrupted\n"
    trace, rest = output.read_text().split("+++ interrupted +++\n")
    line = trace.splitlines()[-1]
    assert line.startswith(last), trace
    assert line.endswith("<unfinished ...>") == ("read" in body)
    assert "axptr: statistics\n" in rest
    assert re.search(r"^ +1  write$", rest, re.MULTILINE), rest
    assert re.search(rf"^[0-9a-f]+-[0-9a-f]+ r-xp .*{program}$", rest, re.MULTILINE), rest
    assert "<svg" in picture.read_text()
