"""python -m tests.differential: compare with the host's kernel, as long as you like."""

from __future__ import annotations

import argparse
import sys
import time

from .compare import Run, shrink
from .host import reason_to_skip
from .operations import Generator, literal


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50, help="how many sequences (default 50)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--ops", type=int, default=2000, help="operations of each sequence (default 2000)")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first difference")
    parser.add_argument("--no-shrink", action="store_true", help="show a difference, do not shrink it")
    options = parser.parse_args()
    if reason_to_skip():
        parser.exit(2, f"cannot compare: {reason_to_skip()}\n")
    began, done, skipped, failed = time.monotonic(), 0, 0, 0
    for seed in range(options.first, options.first + options.seeds):
        ops = Generator(seed).sequence(options.ops)
        run = Run(ops)
        done += options.ops
        skipped += run.skipped
        if run.difference is not None:
            failed += 1
            print(f"seed {seed}: {run.difference}", flush=True)
            if not options.no_shrink:
                small, difference = shrink(ops, run.difference)
                print(f"shrunk to: {difference}\n{literal(small)}", flush=True)
            if not options.keep_going:
                return 1
        elif sys.stdout.isatty() or seed % 10 == 9:
            print(f"seed {seed}: {done} operations, {skipped} skipped, {time.monotonic() - began:.1f} s", flush=True)
    print(f"{done} operations from {options.seeds} seeds in {time.monotonic() - began:.1f} s: {failed} differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
