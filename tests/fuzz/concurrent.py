"""Random small concurrent programs: every outcome of ours is one that may be, and so is every one of the host's.

A program is two to four workers, threads or processes, that set, add, exchange and read shared words, wait for them
with futexes, send bytes through pipes, use semaphores and signal each other. All its outcomes are enumerated by a model
that takes the operations in every order; the guest `concurrent.c` runs it many times here and on the host, with delays
that a seed makes.

    python -m tests.fuzz.concurrent --seeds 1000
    python -m tests.fuzz.concurrent --seeds 200 --disturb    # stopped, continued, put back and branched under way
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))  # pytest has it there already

from axptr.linux import PIPE, Linux
from axptr.linux.abi.signals import SI_USER, Info
from axptr.linux.signals.sending import send_process
from linux.conftest import GUESTS, run_guest, run_host
from programs import compiled

MOST_STATES = 60_000
ROUNDS = 12
PATIENCE = 100.0
"""Seconds until one that is disturbed must have ended."""
VARS, PIPES, SEMS = 3, 2, 2


class State(NamedTuple):
    """Where each worker is, what it holds of an unfinished operation, and all that is shared."""

    at: tuple[int, ...]
    held: tuple[int | None, ...]
    acc: tuple[int, ...]
    var: tuple[int, ...]
    pipes: tuple[tuple[int, ...], ...]
    sems: tuple[int, ...]
    pending: tuple[bool, ...]
    hits: tuple[int, ...]


Program = tuple[tuple[str, ...], ...]


def make(rng: random.Random) -> Program:
    """A program of which no order is known to block for ever; see `outcomes`."""
    workers = rng.randint(2, 3 if rng.random() < 0.8 else 4)
    kinds = rng.choice(("SAXLR", "SALF", "WGL", "PVAR", "KAL", "SAXLRFWGPVK"))
    return tuple(
        tuple(_operation(rng, rng.choice(kinds), workers) for _ in range(rng.randint(1, 4 if workers < 4 else 3)))
        for _ in range(workers)
    )


def _operation(rng: random.Random, kind: str, workers: int) -> str:
    if kind == "K":
        return f"K{rng.randrange(workers)}0"
    if kind in "WG":
        return f"{kind}{rng.randrange(PIPES)}{rng.randint(1, 4)}"
    if kind in "PV":
        return f"{kind}{rng.randrange(SEMS)}0"
    return f"{kind}{rng.randrange(VARS)}{rng.randint(0, 3) if kind == 'F' else rng.randint(1, 3)}"


def _put(values: tuple, place: int, value: object) -> tuple:
    return (*values[:place], value, *values[place + 1 :])


def steps(program: Program, state: State) -> Iterator[State]:
    """What can come next: an operation of a worker that does not wait, or a signal that is delivered."""
    for w, operations in enumerate(program):
        if state.pending[w]:
            yield state._replace(pending=_put(state.pending, w, False), hits=_put(state.hits, w, state.hits[w] + 1))
        if state.at[w] == len(operations):
            continue
        kind, a, b = operations[state.at[w]][0], *map(int, operations[state.at[w]][1:])
        after = state._replace(at=_put(state.at, w, state.at[w] + 1))
        if kind == "R" and state.held[w] is None:
            yield state._replace(held=_put(state.held, w, state.var[a]))
        else:
            following = _done(after, w, kind, a, b)
            if following is not None:
                yield following


def _done(after: State, w: int, kind: str, a: int, b: int) -> State | None:
    """The state behind an operation; None where it waits."""
    if kind == "S":
        return after._replace(var=_put(after.var, a, b))
    if kind == "A":
        return after._replace(var=_put(after.var, a, after.var[a] + b))
    if kind == "R":
        held = after.held[w]
        assert held is not None
        return after._replace(var=_put(after.var, a, held + b), held=_put(after.held, w, None))
    if kind in "LX":
        after = after._replace(acc=_put(after.acc, w, after.acc[w] * 5 + after.var[a]))
        return after if kind == "L" else after._replace(var=_put(after.var, a, b))
    if kind == "F":
        return None if after.var[a] == b else after
    if kind == "W":
        return after._replace(pipes=_put(after.pipes, a, (*after.pipes[a], b)))
    if kind == "G":
        if not after.pipes[a]:
            return None
        first, *rest = after.pipes[a]
        after = after._replace(acc=_put(after.acc, w, after.acc[w] * 5 + first))
        return after._replace(pipes=_put(after.pipes, a, tuple(rest)))
    if kind == "P":
        return None if not after.sems[a] else after._replace(sems=_put(after.sems, a, after.sems[a] - 1))
    if kind == "V":
        return after._replace(sems=_put(after.sems, a, after.sems[a] + 1))
    return after._replace(pending=_put(after.pending, a, True))


def outcomes(program: Program) -> set[str] | None:
    """All lines that it may print; None if it can stand still, or has too many states to look at."""
    n = len(program)
    first = State((0,) * n, (None,) * n, (0,) * n, (0,) * VARS, ((),) * PIPES, (0,) * SEMS, (False,) * n, (0,) * n)
    seen, todo, found = {first}, [first], set()
    while todo:
        state = todo.pop()
        following = list(steps(program, state))
        if not following:
            if any(at < len(operations) for at, operations in zip(state.at, program, strict=True)):
                return None
            ends = " ".join(f"{acc}/{hits}" for acc, hits in zip(state.acc, state.hits, strict=True))
            found.add(f"{' '.join(map(str, state.var))} {ends} ")
        for each in following:
            if each not in seen:
                seen.add(each)
                todo.append(each)
        if len(seen) > MOST_STATES:
            return None
    return found


def programs(seed: int) -> tuple[Program, set[str]]:
    """The seed's program and its outcomes; the first of a sequence that always ends."""
    rng = random.Random(seed)
    while True:
        program = make(rng)
        allowed = outcomes(program)
        if allowed is not None and len(allowed) > 1:
            return program, allowed


def check(guest: Path, seed: int, **options: object) -> tuple[set[str], set[str], str]:
    """The outcomes of a seed's program that were seen here, those that may be, and what is wrong, if anything."""
    program, allowed = programs(seed)
    words = [str(ROUNDS), str(seed), "tp"[seed % 2], *(",".join(operations) for operations in program)]
    host, ours = run_host(guest, *words), run_guest(guest, *words, **options)
    wrong = ""
    for name, run in (("the host", host), ("ours", ours)):
        strange = set(run.lines) - allowed
        if run.status or len(run.lines) != ROUNDS or strange:
            wrong += (
                f"{name}: seed {seed}, {' '.join(words)}: status {run.status}, not allowed: {sorted(strange)[:5]}\n"
            )
    return set(ours.lines), allowed, wrong


def traced(words: list[str]) -> list[str]:
    """The command, its whole tree traced by a program of the machine's: at each call, signal, fork and end."""
    strace = shutil.which("strace")
    return words if strace is None else [strace, "-f", "-qq", "-o", "/dev/null", *words]


def disturbed(
    guest: Path, seed: int, *, trace: bool | None = None, **options: object
) -> tuple[set[str], set[str], str]:
    """As `check`, of ours alone, of a run that is stopped and continued, put back and branched again and again. trace:
    whether it is traced besides, by default one in four."""
    program, allowed = programs(seed)
    words = [str(ROUNDS), str(seed), "tp"[seed % 2], *(",".join(operations) for operations in program)]
    command = [os.fspath(guest), *words]
    if seed % 4 == 3 if trace is None else trace:
        command = traced(command)
    dice, ends = random.Random(seed), time.monotonic() + PATIENCE
    machine = Linux(**options)  # type: ignore[arg-type]
    try:
        machine.spawn(command, stdout=PIPE, stderr=PIPE)
        while machine.step(0.05):
            if time.monotonic() > ends:
                return set(), allowed, f"seed {seed}, {' '.join(words)}: no end\n"
            machine.machine.loop._check()
            _disturb(machine, dice)
            if dice.random() < 0.02:
                snap = machine.snapshot()
                for _ in range(dice.randrange(8)):
                    if machine.step(0.01):
                        _disturb(machine, dice)
                if dice.randrange(2):
                    machine.restore(snap)
                else:
                    machine.close()
                    machine = Linux.from_snapshot(snap)
                machine.machine.loop._check()
        process = machine.process()
        assert process.stdout is not None
        assert process.stderr is not None
        result, out = process.wait(PATIENCE), process.stdout.take().decode()
        said = process.stderr.take().decode(errors="replace")
    finally:
        machine.close()
    lines = out.splitlines()
    wrong = ""
    if result.status or len(lines) != ROUNDS or set(lines) - allowed:
        wrong = f"seed {seed}, {' '.join(words)}: {result}, not allowed: {sorted(set(lines) - allowed)[:5]} {said}\n"
    return set(lines), allowed, wrong


def _disturb(machine: Linux, dice: random.Random) -> None:
    """Now and then a process is stopped; most are soon continued, and whoever is left is when nobody can run. Not a
    tracer, which tries at its start what stops tell it."""
    groups = [
        group
        for group in machine.machine.pids.groups.values()
        if group.tgid > 1 and not group.zombie and group.leader.comm == b"concurrent"
    ]
    stopped = [group for group in groups if group.stopped]
    if stopped and (not machine.machine.loop.queue.all or dice.random() < 0.2):
        send_process(dice.choice(stopped), Info(SIGCONT, SI_USER))
    elif groups and dice.random() < 0.05:
        send_process(dice.choice(groups), Info(SIGSTOP, SI_USER))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.concurrent", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many tasks run at once, natively")
    parser.add_argument("--disturb", action="store_true", help="stop, continue, put back and branch them under way")
    options = parser.parse_args()
    wrong = seen = possible = 0
    with tempfile.TemporaryDirectory() as directory:
        guest = build(Path(directory))
        for seed in range(options.first, options.first + options.seeds):
            judge = disturbed if options.disturb else check
            ours, allowed, text = judge(guest, seed, engine=options.engine, engine_jobs=options.jobs)
            seen, possible = seen + len(ours), possible + len(allowed)
            if text:
                wrong += 1
                print(text, end="", flush=True)
    print(f"{options.seeds} programs, {seen} of {possible} outcomes seen, {wrong} programs with one that may not be")
    return 1 if wrong else 0


def build(directory: Path) -> Path:
    source = GUESTS / "concurrent.c"
    return compiled(directory, "concurrent", source.read_text(), ("-static", "-pthread"), "gcc", beside=GUESTS)


if __name__ == "__main__":
    sys.exit(main())
