"""python -m tests.fuzz: fuzz the public pointer API, replay inputs, or print them as Python calls.

Without --show, --replay or --minimize it fuzzes: the kept corpus first, then new inputs, until --calls calls were made.
The status is 0 only if every rule held for all of them. An input that breaks one, or the interpreter, is left in
--crashes; look at it with --show.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shlex
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `fakes`

CORPUS = Path(__file__).parent / "corpus"
LONGEST = 768


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=100_000, help="how many calls to make (default 100,000)")
    parser.add_argument("--jobs", type=int, default=1, help="how many workers make them (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of libFuzzer's choices; 0 is another one each time")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="inputs to begin with (default: the kept ones)")
    parser.add_argument("--found", type=Path, help="a directory for new inputs, which are thrown away otherwise")
    parser.add_argument("--crashes", type=Path, default=Path("build/crashes"), help="for inputs that break a rule")
    parser.add_argument("--core", type=Path, metavar="DIR", help="what `python -m tests.fuzz.build` made")
    parser.add_argument("--show", type=Path, metavar="FILE", help="run one input, printing its calls")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE", help="run inputs or directories of them")
    parser.add_argument("--minimize", type=Path, metavar="DIR", help="add to --corpus what of DIR it lacks")
    parser.add_argument("--worker", type=int, metavar="FD", help=argparse.SUPPRESS)
    parser.add_argument("--again", help=argparse.SUPPRESS)
    options, arguments = parser.parse_known_args()
    if options.worker is not None:
        from .worker import work

        work(options.worker, options.calls, [options.again or sys.argv[0], *arguments])
        return 1  # it leaves by itself
    if arguments:
        parser.error(f"unrecognized arguments: {' '.join(arguments)}")
    if options.show is not None:
        return show(options.show)
    if options.replay is not None:
        return replay(options.replay)
    if importlib.util.find_spec("atheris") is None:
        print("atheris is missing: pip install 'axptr[fuzz]'", file=sys.stderr)
        return 2
    if options.minimize is not None:
        return minimize(options)
    return fuzz(options)


def show(path: Path) -> int:
    """Print the calls of an input as they are made: the last line is the one that broke something."""
    from .program import run

    calls = run(path.read_bytes(), lambda line: print(line, flush=True))
    print(f"{calls} calls")
    return 0


def replay(paths: list[Path]) -> int:
    """Run inputs; a line for each that breaks a rule. (What kills the interpreter kills this too.)"""
    from .program import run

    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    began, calls, failed = time.monotonic(), 0, 0
    for file in files:
        try:
            calls += run(file.read_bytes())
        except Exception as error:
            failed += 1
            traceback.print_exception(error, limit=-6)
            print(f"{file}: {type(error).__name__}: {error}", file=sys.stderr)
    spent = time.monotonic() - began
    print(f"{len(files)} inputs, {calls} calls in {spent:.1f} s ({calls / spent:,.0f} a second): {failed} broke a rule")
    return 1 if failed or not files else 0


def command(options: argparse.Namespace, fd: int, calls: int, arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    environment = dict(os.environ, PYTHONHASHSEED="0")
    if options.core is not None:
        built = options.core.resolve()
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(built / "lib"), os.environ.get("PYTHONPATH")]))
        environment["LD_PRELOAD"] = (built / "preload").read_text()
        if "asan" in environment["LD_PRELOAD"]:
            environment["PYTHONMALLOC"] = "malloc"  # so that it sees Python's objects
        environment.setdefault("ASAN_OPTIONS", "detect_leaks=0:allocator_may_return_null=1")
    return [
        sys.executable, "-m", "tests.fuzz", "--worker", str(fd), "--calls", str(calls), *arguments,
        f"-max_len={LONGEST}", "-len_control=0", "-timeout=120", "-rss_limit_mb=4096", "-detect_leaks=0",
        "-print_funcs=0",
    ], environment  # fmt: skip


class Process:
    """A worker and the memory that it shares with this one. goal: the calls that it makes."""

    def __init__(self, options: argparse.Namespace, number: int, goal: int, found: Path) -> None:
        from .worker import Shared

        seed = options.seed + number if options.seed else 0
        arguments = [f"-seed={seed}", f"-artifact_prefix={options.crashes}/", "-verbosity=0", "-reload=0", str(found)]
        arguments += [str(options.corpus)] if options.corpus.is_dir() else []
        self.goal = goal
        with tempfile.TemporaryFile() as file:
            self.shared = Shared(file.fileno())
            words, environment = command(options, file.fileno(), goal, arguments)
            self.worker = subprocess.Popen(words, env=environment, pass_fds=[file.fileno()])

    @property
    def failed(self) -> bool:
        """Whether it ended, and not because it had made its calls."""
        status = self.worker.poll()
        return status is not None and not (status == 0 and self.shared.done and self.shared.calls >= self.goal)


def fuzz(options: argparse.Namespace) -> int:
    options.crashes.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        found = options.found or Path(scratch)
        found.mkdir(parents=True, exist_ok=True)
        goal = -(-options.calls // options.jobs)
        processes = [Process(options, number, goal, found) for number in range(options.jobs)]
        try:
            failed = wait(processes, began)
        except KeyboardInterrupt:
            return 130
        finally:
            for process in processes:
                process.worker.kill()
                process.worker.wait()
            progress(processes, began)
        kept = sum(1 for _ in options.corpus.iterdir()) if options.corpus.is_dir() else 0
        print(f"corpus: {kept} inputs kept, {sum(1 for _ in found.iterdir())} found")
        for process in failed:
            data = process.shared.input
            left = options.crashes / f"crash-{hashlib.sha1(data).hexdigest()}"
            left.write_bytes(data)
            ended = f"the worker ended with {process.worker.returncode}"
            print(f"{ended}: python -m tests.fuzz --show {left}", file=sys.stderr)
        return 1 if failed else 0


def wait(processes: list[Process], began: float) -> list[Process]:
    """Until all have made their calls, or one failed: those that did."""
    told = began
    while True:
        running = any(process.worker.poll() is None for process in processes)
        failed = [process for process in processes if process.failed]
        if failed or not running:
            return failed
        time.sleep(0.05)
        if time.monotonic() - told > 60:
            told = time.monotonic()
            progress(processes, began)


def progress(processes: list[Process], began: float) -> None:
    spent = time.monotonic() - began
    calls, inputs = (sum(getattr(one.shared, what) for one in processes) for what in ("calls", "inputs"))
    print(f"{calls:,} calls in {inputs:,} inputs, {spent:.0f} s, {calls / spent:,.0f} calls a second", flush=True)


def minimize(options: argparse.Namespace) -> int:
    """libFuzzer's -merge=1: an input is added if it reaches what none before it does, smaller ones first."""
    from .worker import Shared

    options.corpus.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryFile() as file:
        Shared(file.fileno())
        again = Path(scratch) / "again"  # libFuzzer starts itself, by its name, for as long as inputs crash it
        arguments = ["-set_cover_merge=1", "-use_counters=0", str(options.corpus), str(options.minimize)]
        words, environment = command(options, file.fileno(), 0, [f"--again={again}", *arguments])
        again.write_text(f'#!/bin/sh\nexec {shlex.join([*words[:7], f"--again={again}"])} "$@"\n')
        again.chmod(0o700)
        return subprocess.run(words, env=environment, pass_fds=[file.fileno()], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
