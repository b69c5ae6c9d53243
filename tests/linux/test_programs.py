"""Programs compiled here print and exit under axptr as they do on the host, however they are linked."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from axptr.linux import Policy, ProgramError, create_process

from .conftest import ENVIRONMENT, run_guest, run_host

LINKINGS = {
    "dynamic PIE": ("gcc", "-pie", "-fPIE"),
    "dynamic at a fixed address": ("gcc", "-no-pie"),
    "static": ("gcc", "-static"),
    "static PIE": ("gcc", "-static-pie", "-fPIE"),
    "static musl": ("musl-gcc", "-static"),
}


def same_as_host(program: Path, *args: str | Path, **options):
    host = run_host(program, *args)
    ours = run_guest(program, *args, **options)
    assert ours.lines == host.lines
    assert ours.status == host.status
    return ours


@pytest.mark.parametrize("linking", LINKINGS)
def test_a_program_starts_as_on_the_host(compile_guest, linking):
    compiler, *flags = LINKINGS[linking]
    program = compile_guest("hello", *flags, compiler=compiler)
    ours = same_as_host(program, "37", "two words", "")
    assert ours.status == 37
    assert ours.unknown == {}


@pytest.mark.parametrize(("compiler", "flags"), [("gcc", ["-static"]), ("gcc", []), ("musl-gcc", ["-static"])])
def test_bad_pointers_give_the_hosts_results(compile_guest, tmp_path, compiler, flags):
    """Some 2,400 calls: NULL, unmapped, kernel, read-only, straddling, no access, strings into holes, huge counts."""
    data = tmp_path / "data"
    data.write_bytes(b"f" * 3000)
    ours = same_as_host(compile_guest("badptr", *flags, compiler=compiler), data)
    assert len(ours.lines) > 2000


def test_signals_are_the_hosts(compile_guest):
    same_as_host(compile_guest("signals", "-static"))


@pytest.mark.parametrize("flags", [["-static"], []])
def test_memory_calls_are_the_hosts(compile_guest, tmp_path, flags):
    data = tmp_path / "data"
    data.write_bytes(b"AB")
    same_as_host(compile_guest("memory", *flags), data)


ENDS = {
    "exit": "return 300;",
    "null": "*(volatile int *)0 = 1;",
    "divide": "volatile int z = 0; return 1 / z;",
    "ud2": '__asm__("ud2");',
    "int3": '__asm__("int3");',
    "hlt": '__asm__("hlt");',
    "abort": "abort();",
    "kill": "kill(getpid(), SIGTERM);",
    "pipe": "int p[2]; pipe(p); close(p[0]); write(p[1], p, 1);",
    "alarm": "alarm(1); for (;;) {}",
    "bus": "char *m = mmap(0, 4096, PROT_READ, MAP_PRIVATE, open(argv[0], 0), 1L << 40); return *m;",
    "overflow": "return main(argc + 1, argv) + 1;",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_program_ends_as_on_the_host(compile_guest, end):
    headers = ["stdio", "stdlib", "signal", "unistd", "fcntl", "sys/mman"]
    source = "".join(f"#include <{h}.h>\n" for h in headers) + f"int main(int argc, char **argv) {{ {ENDS[end]} }}"
    program = compile_guest(f"end-{end}", "-O0", source=source)
    ours = same_as_host(program)
    if end == "null":
        death = ours.result.death
        assert (death.signal, death.code, death.address) == (11, 1, 0)
        assert death.fault.address == 0
        assert "not mapped" in str(death.fault)
        assert death.regs["rip"] == death.rip != 0


def test_memory_is_taken_only_where_it_is_touched(compile_guest):
    """1 TiB mapped and 3 pages touched: 3 more data frames, at most 9 for page tables."""
    source = """
        #include <sys/mman.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
            long size = 1L << 40;
            write(-1, 0, 0);
            volatile char *p = mmap(0, size, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            write(-2, 0, 0);
            p[0] = p[size / 2] = p[size - 1] = 1;
            write(-3, 0, 0);
            return 0;
        }"""
    frames = []

    def watch(process):
        def on_call(task, syscall, args, result):
            if syscall.name == "write" and args[0] > 1 << 31:
                frames.append((process.phys.data_frames, process.phys.table_frames))

        process.kernel.on_call = on_call

    assert run_guest(compile_guest("sparse", "-static", source=source), watch=watch).status == 0
    before, reserved, touched = frames
    assert reserved == before
    assert touched[0] - before[0] == 3
    assert touched[1] - before[1] <= 9


def test_memory_beyond_the_limit_kills_and_says_why(compile_guest):
    source = """
        #include <stdlib.h>
        #include <string.h>
        int main(void) { return *(char *)memset(malloc(64 << 20), 1, 64 << 20); }"""
    ours = run_guest(compile_guest("greedy", "-static", source=source), memory_limit=16 << 20)
    assert ours.result.signal == 9
    assert "no memory" in str(ours.result.death.fault)


@pytest.mark.parametrize("limit", [4096, 10 * 4096])
def test_a_program_that_does_not_fit_the_limit_is_refused(limit):
    with pytest.raises(ProgramError) as caught:
        create_process("/bin/true", memory_limit=limit)
    assert caught.value.errno == errno.ENOMEM
    assert caught.value.exit_status == 126


def test_a_process_that_has_ended_or_is_closed_is_not_run_again(compile_guest):
    dies = compile_guest("dies", "-static", source="int main(void) { return *(volatile int *)8; }")
    for program, ended in (("/bin/true", lambda r: r.exit_code == 0), (dies, lambda r: r.signal == 11)):
        process = create_process(os.fspath(program), env=ENVIRONMENT)
        assert ended(process.run(20))
        regs = process.engine.regs.rip
        with pytest.raises(RuntimeError, match="ended"):
            process.run(20)
        assert process.engine.regs.rip == regs
        process.close()
        process.close()
        with pytest.raises(RuntimeError, match="closed"):
            process.run(20)
    process = create_process("/bin/true", env=ENVIRONMENT)
    process.close()
    with pytest.raises(RuntimeError, match="closed"):
        process.run(20)


@pytest.mark.parametrize("program", [["/bin/sleep", "0.5"], ["/bin/sh", "-c", "for i in $(seq 20000); do :; done"]])
def test_a_process_that_runs_in_another_thread_is_not_closed_and_runs_on(program):
    process = create_process(program[0], program, env=ENVIRONMENT)
    found = []
    thread = threading.Thread(target=lambda: found.append(process.run(60)))
    thread.start()
    while not process.machine.loop.running:
        time.sleep(0.001)
    with pytest.raises(RuntimeError, match="between its runs"):
        process.close()
    thread.join()
    assert [result.status for result in found] == [0]
    process.close()
    assert process.phys.data_frames == 0


def test_a_run_that_does_not_come_to_begin_is_over(monkeypatch):
    """A signal's handler may raise there, too."""

    def interrupted(*_):
        raise KeyboardInterrupt

    with create_process("/bin/sh", ["sh", "-c", "exit 3"], env=ENVIRONMENT) as process:
        with monkeypatch.context() as patch:
            patch.setattr(type(process.machine.loop), "_begin", interrupted)
            with pytest.raises(KeyboardInterrupt):
                process.run(60)
        assert process.run(60).status == 3


def test_a_process_is_not_closed_by_what_looks_at_its_calls():
    policy = Policy()

    @policy.before("getpid")
    def close(call):
        with pytest.raises(RuntimeError, match="between its runs"):
            process.close()
        closed.append(call.name)

    closed: list[str] = []
    with create_process("/bin/sh", ["sh", "-c", "exit 3"], env=ENVIRONMENT, policy=policy) as process:
        assert process.run(60).status == 3
    assert closed


def test_a_timeout_ends_a_busy_and_a_waiting_program(compile_guest):
    busy = compile_guest("busy", "-static", source="int main(void) { for (;;) {} }")
    waits = compile_guest("waits", "-static", source="#include <unistd.h>\nint main(void) { pause(); sleep(100); }")
    for program in (busy, waits):
        ours = run_guest(program, timeout=0.2)
        assert ours.result.timed_out
        assert ours.status == 124
        assert ours.result.wall < 5


def test_a_timeout_ends_a_wait_for_input(compile_guest):
    import os

    program = compile_guest(
        "reads", "-static", source="#include <unistd.h>\nint main(void) { char c; return read(0, &c, 1); }"
    )
    reader, writer = os.pipe()
    try:
        with create_process(str(program), stdio=(reader, 1, 2)) as process:
            assert process.run(0.2).timed_out
            os.write(writer, b"x")
            assert process.run(5).exit_code == 1
    finally:
        os.close(reader)
        os.close(writer)


BUSYBOX = [
    ("echo", "hello"),
    ("cat", "{data}"),
    ("ls", "-l", "{dir}"),
    ("sha256sum", "{data}"),
    ("sort", "{data}"),
    ("wc", "{data}"),
    ("env",),
    ("printf", "%s-%d\\n", "a", "5"),
    ("stat", "{data}"),
    ("head", "-n", "2"),
    ("sh", "-c", "x=3; echo $((x * 7)); cd {dir}; pwd; exit 5"),
    ("awk", "{{s += $2}} END {{print s}}", "{data}"),
    ("find", "{dir}"),
    ("dd", "bs=3", "count=2", "if={data}"),
    ("tar", "cf", "-", "{data}"),
    ("sh", "-c", "exec /bin/echo replaced"),
    ("cat", "/dev/stdin"),
    ("cat", "/proc/self/cmdline"),
    ("readlink", "/proc/self/cwd"),
]


@pytest.mark.parametrize("command", BUSYBOX, ids=lambda c: " ".join(c)[:30])
def test_busybox_prints_what_it_prints_on_the_host(tmp_path, command):
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox-static")
    data = tmp_path / "data"
    data.write_text("pear 3\napple 4\nfig 35\n")
    words = [word.format(data=data, dir=tmp_path) for word in command]
    input = b"one\ntwo\nthree\n" * 1000
    host, ours = run_host(busybox, *words, input=input), run_guest(busybox, *words, input=input)
    assert (ours.stdout, ours.status) == (host.stdout, host.status)


def test_head_reads_from_a_pipe_that_is_still_open():
    import os

    reader, writer = os.pipe()
    out, back = os.pipe()
    try:
        os.write(writer, b"1\n2\n3\n4\n")
        with create_process("head", ["head", "-n", "2"], stdio=(reader, back, 2)) as process:
            assert process.run(20).exit_code == 0
        assert os.read(out, 100) == b"1\n2\n"
    finally:
        for fd in (reader, writer, out, back):
            os.close(fd)


def test_the_position_of_standard_input_is_shared_with_the_host(tmp_path):
    import os

    data = tmp_path / "data"
    data.write_bytes(b"line one\nline two\n" * 10)
    with data.open("rb") as file:
        source, out = file.fileno(), os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
        with create_process("/usr/bin/head", ["head", "-n", "1"], stdio=(source, out, 2)) as process:
            assert process.run(20).exit_code == 0
        os.close(out)
        assert os.lseek(source, 0, os.SEEK_CUR) == 9  # head gives back what it read too much


def test_a_tracer_that_raises_ends_the_run(tmp_path):
    class Stop(Exception):
        pass

    def on_call(task, syscall, args, result):
        raise Stop

    with create_process("/bin/true") as process:
        process.kernel.on_call = on_call
        with pytest.raises(Stop):
            process.run(10)


def test_the_environment_and_the_directory_are_what_was_asked_for(tmp_path):
    ours = run_guest("/usr/bin/env", env={"A": "1", "B": "x y"})
    assert sorted(ours.lines) == ["A=1", "B=x y"]
    assert run_guest("/bin/pwd", cwd=tmp_path).lines == [str(tmp_path.resolve())]


def test_a_program_is_looked_up_in_the_path_of_its_environment(tmp_path):
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho found $0\n")
    tool.chmod(0o755)
    with create_process("tool", env={"PATH": f"/nowhere:{tmp_path}"}):
        pass
    with pytest.raises(ProgramError):
        create_process("tool", env={"PATH": "/nowhere"})


def test_a_shell_runs_children():
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("needs bash")
    script = "/bin/echo child; (echo sub; exit 3); echo $? | cat; x=$(echo in); echo $x & wait; exit 7"
    host, ours = run_host(shell, "-c", script), run_guest(shell, "-c", script)
    assert (ours.stdout, ours.stderr, ours.status) == (host.stdout, host.stderr, host.status)
    assert not ours.unknown


def test_waits_clocks_and_limits_are_the_hosts(compile_guest):
    program = compile_guest("waits", "-static")
    host, ours = run_host(program), run_guest(program)
    assert ours.lines == host.lines
    assert ours.unknown == {9999: 1}
