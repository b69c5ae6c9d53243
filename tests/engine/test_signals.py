"""Signals of the host while a guest runs: their Python handlers run within a second, wherever the guest is."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from .conftest import CODE, Machine

SPIN = "48ffc0 ebfb"  # inc rax; jmp back
CALLS = "0f05 ebfc"  # syscall; jmp back


@pytest.mark.parametrize("guest", [SPIN, CALLS], ids=["spins", "makes calls"])
def test_ctrl_c_ends_the_process_as_any_python_program(guest: str) -> None:
    script = textwrap.dedent(
        f"""
        from tests.engine.conftest import Machine
        machine = Machine()
        machine.load({guest!r})
        print("ready", flush=True)
        machine.run(None, timeout=None)
        """
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:  # the one that makes calls keeps them all
        process.kill()
        process.wait()
    assert b"KeyboardInterrupt" in errors
    assert process.returncode == -signal.SIGINT


@pytest.fixture
def alarm():  # type: ignore[no-untyped-def]
    """Set what SIGALRM does, and send it in a moment; put back afterwards.

    No garbage is collected in between: what a handler raises while a callback of the collector runs (libraries of tests
    have some) is printed and forgotten by the interpreter, and no `run` could let it out.
    """
    before = signal.getsignal(signal.SIGALRM)
    collecting = gc.isenabled()

    def arm(handler, delay: float = 0.05, interval: float = 0) -> None:  # type: ignore[no-untyped-def]
        gc.disable()
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, delay, interval)

    yield arm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    if collecting:
        gc.enable()


@pytest.mark.parametrize("guest", [SPIN, CALLS], ids=["spins", "makes calls"])
def test_what_a_signal_handler_raises_comes_out_of_run(machine: Machine, alarm, guest: str) -> None:  # type: ignore[no-untyped-def]
    def raises(*args: object) -> None:
        raise KeyboardInterrupt

    alarm(raises)
    with pytest.raises(KeyboardInterrupt):
        machine.run(guest)
    assert machine.run("b83c000000 0f05").kind == "stopped"  # and the engine is as good as before


def test_a_signal_handler_that_returns_does_not_disturb_the_guest(machine: Machine, alarm) -> None:  # type: ignore[no-untyped-def]
    seen: list[int] = []
    alarm(lambda *args: seen.append(1), 0.02, 0.02)
    # inc rax; lea rbx, [rbx + 2]; cmp rax, rcx; jne back; mov eax, 60; syscall
    exit = machine.run("48ffc0 488d5b02 4839c8 75f4 b83c000000 0f05", rcx=150_000_000)
    assert exit.kind == "stopped"
    assert machine.engine.regs.rbx == 300_000_000
    assert seen


def test_a_signal_handler_may_stop_the_run(machine: Machine, alarm) -> None:  # type: ignore[no-untyped-def]
    alarm(lambda *args: machine.engine.stop())
    exit = machine.run(SPIN)
    assert exit.kind == "stopped"
    assert exit.rip in (CODE, CODE + 3)


def test_a_run_in_another_thread_does_not_keep_the_main_thread_from_signals(machine: Machine, alarm) -> None:  # type: ignore[no-untyped-def]
    def raises(*args: object) -> None:
        raise TimeoutError

    thread = threading.Thread(target=machine.run, args=(SPIN,))
    thread.start()
    alarm(raises)
    with pytest.raises(TimeoutError):
        time.sleep(10)
    machine.engine.stop()
    thread.join()


def test_a_child_after_fork_is_told_that_the_memory_is_not_its_own(machine: Machine) -> None:
    machine.run("b83c000000 0f05")
    child = os.fork()
    if child == 0:
        try:
            machine.run("b83c000000 0f05")
        except RuntimeError as error:
            os._exit(7 if "fork" in str(error) else 8)
        except BaseException:
            os._exit(9)
        os._exit(10)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert machine.run(None).kind == "stopped"


def test_a_child_after_fork_can_make_an_engine_of_its_own(machine: Machine) -> None:
    machine.run("b83c000000 0f05")
    child = os.fork()
    if child == 0:
        try:
            own = Machine()
            os._exit(7 if own.run(SPIN, timeout=0.05).kind == "timeout" else 8)
        except BaseException:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
