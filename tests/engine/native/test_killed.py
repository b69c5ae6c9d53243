"""Processes that end when nobody expects it: the guest's, the interpreter's. The run goes on or says what happened;
nothing hangs, and nothing stays behind."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from axptr.engine.native import NativeEngine
from axptr.linux import create_process

from .conftest import CODE, NativeMachine

pytestmark = pytest.mark.usefixtures("waiting")
PROGRAMS = [
    ("/bin/sh", "-c", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; echo $i"),
    ("/usr/bin/python3", "-S", "-c", "x = [i for i in range(50000)]; print(len(x), sum(x))"),
    ("/bin/ls", "-lR", "/etc/apt"),
    ("/usr/bin/gzip", "-9c", "/bin/sh"),
]


def processes() -> set[int]:
    """Guests' processes of this interpreter's, by what they execute."""
    found = set()
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and "axptr-guest" in os.readlink(f"/proc/{name}/exe"):
                with open(f"/proc/{name}/status") as status:
                    if f"PPid:\t{os.getpid()}\n" in status.read():
                        found.add(int(name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("command", PROGRAMS, ids=lambda command: Path(command[0]).name)
def test_a_program_whose_process_is_killed_goes_on_or_is_killed(command: tuple[str, ...], tmp_path: Path) -> None:
    """At random moments, several times each: the output is whole, or the program died of SIGKILL."""
    dice = random.Random(7)
    killed = whole = 0
    kills: list[int] = []
    want, took = b"", 0.0
    for attempt in range(25):
        with open(tmp_path / "out", "w+b") as out:
            process = create_process(command[0], command, stdio=(0, out.fileno(), out.fileno()), engine="native")
            engine = process.engine
            assert isinstance(engine, NativeEngine)
            phys = engine.phys
            delay = dice.random() * took if attempt else 60

            def kill(engine: NativeEngine = engine) -> None:
                for pid in engine.guest_pids:
                    os.kill(pid, signal.SIGKILL)
                    kills.append(pid)

            timer = threading.Timer(delay, kill)
            timer.start()
            begin = time.monotonic()
            result = process.run(60)
            took = took if attempt else time.monotonic() - begin
            timer.cancel()
            timer.join()
            out.seek(0)
            said = out.read()
        assert not result.timed_out
        if result.death is not None:
            assert result.death.signal == signal.SIGKILL
            assert attempt
            killed += 1
        else:
            want = want or said
            assert (result.exit_code, said) == (0, want)
            whole += 1
        process.close()
        engine.close()
        del process, engine, result, timer, kill
        gc.collect()
        assert phys.frames_in_use == 0
    assert whole
    assert kills
    assert not processes()


def test_a_lost_guest_is_told_and_runs_again(native: NativeMachine) -> None:
    native.check()
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.05):  # one that is killed before it runs is made anew
            if (pid := native.engine.guest_pid) is not None:
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    exit = native.run("ebfe", timeout=20)
    over.set()
    killer.join()
    assert exit.kind == "lost"
    with pytest.raises(RuntimeError, match="lost"):
        native.engine.run(1)
    with pytest.raises(RuntimeError, match="lost"):
        native.engine.save()
    native.check()


def test_a_guest_to_which_the_host_gives_no_cpu_is_waited_for(native: NativeMachine) -> None:
    """It is asked to come out, and cannot answer for longer than one that does not want to is given."""
    native.check()
    pid = native.engine.guest_pid
    assert pid is not None
    cpu = min(os.sched_getaffinity(0))
    others = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(6)]

    def starve() -> None:
        for other in others:
            os.sched_setaffinity(other.pid, {cpu})
        os.sched_setaffinity(pid, {cpu})
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))

    def stop() -> None:
        for other in others:
            other.kill()

    timers = [threading.Timer(0.5, starve), threading.Timer(6, stop)]
    try:
        for timer in timers:
            timer.start()
        exit = native.run("ebfe", timeout=1.5)
    finally:
        for timer in timers:
            timer.cancel()
            timer.join()
        stop()
        for other in others:
            other.wait()
    assert (exit.kind, exit.rip) == ("timeout", CODE)


def test_a_guest_killed_while_a_handler_works_is_lost_or_was_out(native: NativeMachine) -> None:
    native.check()

    def serve(nr: int, *args: int) -> int:
        if nr == 60:
            native.engine.stop()
            return 0
        pid = native.engine.guest_pid
        assert pid is not None
        if args[0]:
            assert native.engine.regs.rbx == 5  # all registers have been brought out
        os.kill(pid, signal.SIGKILL)
        return 9

    native.engine.on_syscall(serve)
    # mov ebx, 5; mov eax, 100; syscall; mov ebp, eax; mov eax, 60; syscall
    assert native.run("bb05000000 b864000000 0f05 89c5 b83c000000 0f05", rdi=0).kind == "lost"
    assert native.run("bb05000000 b864000000 0f05 89c5 b83c000000 0f05", rdi=1).kind == "stopped"
    assert (native.engine.regs.rbx, native.engine.regs.rbp) == (5, 9)
    native.engine.on_syscall(native._serve)
    native.check()


SCRIPT = """
import os, sys, threading, time
from axptr.linux import create_process
out = os.open(os.devnull, os.O_RDWR)
process = create_process("/bin/sh", ["sh", "-c", "while :; do :; done"], stdio=(out, out, out), engine="native")
assert process.run(0.05).timed_out
pids = process.engine.guest_pids
if sys.argv[1] == "fork":
    if (child := os.fork()) == 0:
        try:
            process.run(0.2)
        except RuntimeError as error:
            os._exit(3)
        os._exit(4)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), end=" ")
    print(process.run(0.2).timed_out, process.engine.guest_pids == pids)
elif sys.argv[1] == "thread":
    thread = threading.Thread(target=process.run, args=(60,), daemon=True)
    thread.start()
    time.sleep(0.2)
    print(*pids, flush=True)
elif sys.argv[1] == "starter":      # the thread that started the guest has ended
    made = []
    thread = threading.Thread(target=lambda: made.append(
        create_process("/bin/sh", ["sh", "-c", "exit 5"], stdio=(out, out, out), engine="native")))
    thread.start()
    thread.join()
    time.sleep(0.1)
    print(made[0].run(10).exit_code)
else:
    print(*pids, flush=True)
    process.run(60 if sys.argv[1] == "killed" else 0.1)
"""


def script(kind: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, kind], stdout=subprocess.PIPE, text=True)


def gone(pids: list[int], seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(os.path.exists(f"/proc/{pid}/exe") and Path(f"/proc/{pid}/exe").exists() for pid in pids):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("kind", ["killed", "end", "thread"])
def test_an_interpreter_that_ends_leaves_no_process(kind: str) -> None:
    """Killed, at its end without close(), and while another thread runs the guest."""
    with script(kind) as started:
        assert started.stdout is not None
        pids = [int(pid) for pid in started.stdout.readline().split()]
        assert pids
        if kind == "killed":
            time.sleep(0.2)
            started.kill()
        assert started.wait(20) == (-signal.SIGKILL if kind == "killed" else 0)
    assert gone(pids)


def test_a_fork_of_the_interpreter_leaves_the_guest_to_its_parent() -> None:
    with script("fork") as started:
        out, _ = started.communicate(timeout=30)
    assert out in ("3 True True\n", "4 True True\n")
    assert started.returncode == 0


def test_a_guest_outlives_the_thread_that_started_it() -> None:
    with script("starter") as started:
        out, _ = started.communicate(timeout=30)
    assert (out, started.returncode) == ("5\n", 0)
