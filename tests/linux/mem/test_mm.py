"""What belongs to a program's memory: it ends with an exec, and a restored space takes it along."""

from __future__ import annotations

from pathlib import Path

import pytest

from axptr.linux import create_process

from ..conftest import run_guest, run_host
from ..load.elffiles import changed

BARE = ("-static", "-nostdlib", "-fno-stack-protector")


def test_an_exec_resets_what_the_kernel_kept_for_the_old_memory(compile_guest):
    program = compile_guest("execreset", *BARE)
    ours = run_guest(program)
    host = run_host("setarch", "-R", program)
    assert ours.lines == host.lines
    assert "robust list 1, size 24, a new page is there 1" in ours.lines[0]
    assert "robust list 0, size 24, a new page is there 0" in ours.lines[1]
    assert [line[-1] for line in ours.lines] == ["1", "0"]  # the word that is cleared for who waits for the thread


def test_an_exec_clears_the_word_of_one_who_shared_the_memory(compile_guest):
    """As an end does: who shares the memory still waits for that word."""
    source = r"""
    #define _GNU_SOURCE
    #include <linux/futex.h>
    #include <sched.h>
    #include <signal.h>
    #include <stdio.h>
    #include <sys/syscall.h>
    #include <sys/wait.h>
    #include <unistd.h>
    static char stack[65536];
    static volatile int word = 77;
    static int child(void *pipe) {
        execl("/proc/self/exe", "x", "child", (char *)0);
        return 9;
    }
    int main(int argc, char **argv) {
        char byte;
        if (argc > 1) return read(0, &byte, 1);  /* lives until its parent has looked */
        int flags = CLONE_VM | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD, status, p[2];
        pipe(p);
        dup2(p[0], 0);
        int pid = clone(child, stack + sizeof stack, flags, 0, 0, 0, &word);
        while (word == 77)
            ;
        while (word)
            syscall(SYS_futex, &word, FUTEX_WAIT, pid, 0, 0, 0);
        printf("%d, lives: %d\n", word, waitpid(pid, 0, WNOHANG) == 0);
        write(p[1], "x", 1);
        waitpid(pid, &status, 0);
        printf("%x\n", status);
    }"""
    program = compile_guest("clears", "-static", source=source)
    ours, host = run_guest(program), run_host(program)
    assert ours.lines == host.lines == ["0, lives: 1", "100"]


def test_a_restored_space_and_its_program_agree_on_the_heap():
    with create_process("/bin/true") as process:
        mm, space = process.task.mm, process.space
        end = mm.start_brk + 0x1000
        brk = process.kernel._table[12]
        assert brk(process.task, end, 0, 0, 0, 0, 0) == end
        before = space.snapshot()
        assert brk(process.task, end + 0x5000, 0, 0, 0, 0, 0) == end + 0x5000
        space.restore(before)
        assert brk(process.task, 0, 0, 0, 0, 0, 0) == end
        assert space.find_area(end) is None
        assert brk(process.task, end + 0x2000, 0, 0, 0, 0, 0) == end + 0x2000
        space.write(end, b"x" * 0x2000)
        assert f"-{end + 0x2000:08x} " in _line(process.task, "[heap]")


def _line(task: object, name: str) -> str:
    from axptr.linux.proc.maps import format_maps

    return next(line for line in format_maps(task, task.space).splitlines() if line.endswith(name))  # type: ignore


SOURCE = r"""
#include <stdlib.h>
#include <string.h>
volatile char *q;
int step(int n) { char *p = malloc(100000); memset(p, 1, 100000); q = p;
                  char *p2 = malloc(100000); memset(p2, 2, 100000); q = p2; return 5; }
int main(int c, char **v) { q = malloc(10); return step(c); }
"""


def test_a_program_that_allocates_runs_from_a_snapshot_again_and_again(compile_guest, tmp_path: Path):
    """A breakpoint at a function, a snapshot there; each run from it must end in the same way."""
    elffile = pytest.importorskip("elftools.elf.elffile")
    program = compile_guest("allocates", "-static", "-no-pie", source=SOURCE)
    with program.open("rb") as file:
        table = elffile.ELFFile(file).get_section_by_name(".symtab")
        step = next(s["st_value"] for s in table.iter_symbols() if s.name == "step")
    with create_process(str(program)) as process:
        space, engine = process.space, process.engine
        engine.attach(space)
        engine.on_syscall(process.kernel.dispatcher(process.task))
        byte = space.read(step, 1)
        space.write(step, b"\xcc")
        engine.run()
        space.write(step, byte)
        engine.regs.rip = step
        space.write(engine.regs.rsp, (0xDEAD0000).to_bytes(8, "little"))
        registers, before = engine.save(), space.snapshot()
        ends = []
        for _ in range(3):
            space.restore(before)
            engine.restore(registers)
            end = engine.run()
            ends.append((end.kind, end.address, engine.regs.rax))
        assert ends == [("fault", 0xDEAD0000, 5)] * 3


def test_an_exec_that_finds_no_room_kills_whatever_the_program_did_about_the_signal(tmp_path, compile_guest):
    """The point of no return: the caller is gone, its handler too; a blocked or ignored signal kills all the same."""
    source = r"""
    #include <signal.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <unistd.h>
    static void handler(int s) { _exit(1); }
    int main(int c, char **v) {
        sigset_t all; sigfillset(&all);
        if (v[2][0] == 'h') signal(SIGSEGV, handler);
        if (v[2][0] == 'i') signal(SIGSEGV, SIG_IGN);
        if (v[2][0] == 'b') sigprocmask(SIG_BLOCK, &all, 0);
        printf("on\n"); fflush(stdout);
        execl(v[1], v[1], (char *)0);
        printf("still here\n"); return 3; }
    """
    program = compile_guest("execs", source=source)
    broken = tmp_path / "broken"
    broken.write_bytes(changed(memsz=10).pack())
    broken.chmod(0o755)
    for how in ("default", "handler", "ignored", "blocked"):
        ours, host = run_guest(program, broken, how), run_host(program, broken, how)
        assert (ours.status, ours.stdout) == (host.status, host.stdout) == (139, b"on\n"), how


def test_descriptors_stay_as_they_are_when_the_space_is_restored():
    """A snapshot is one of the space alone: descriptors are the machine's."""
    with create_process("/bin/true") as process:
        space, task = process.space, process.task
        before = space.snapshot()
        brk = task.brk
        task.mm.brk = brk + 0x1000
        dup = process.kernel._table[32]
        assert dup(task, 1, 0, 0, 0, 0, 0) == 3
        space.restore(before)
        assert task.brk == brk
        assert task.files.descriptors() == [0, 1, 2, 3]
