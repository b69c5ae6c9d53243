"""The command line that the fuzzers of calls and of programs share: cases in batches, confined, and the verdict.

A batch is made from the seed and its number alone, so that one can be made again. Not here: what a batch does.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from axptr.engine.auto import ENGINES
from axptr.linux import create_process

from .sandbox import confined

Batch = Callable[[int, Path], int]
"""`batch(number, directory)`: how many cases it had. Raises what is wrong."""


def options_of(module: str, doc: str | None, what: str, cases: int) -> argparse.ArgumentParser:
    """The options that each has; `what` are the cases."""
    parser = argparse.ArgumentParser(
        prog=f"python -m tests.fuzz.{module}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=cases, help=f"how many {what} (default {cases:,})")
    parser.add_argument("--seed", type=int, default=0, help="of the choices (default 0)")
    parser.add_argument(
        "--first", type=int, default=0, help="the batch to begin with: to make one again, with --cases 1"
    )
    parser.add_argument("--engine", choices=ENGINES, default="auto", help="the CPU of the processes (default auto)")
    parser.add_argument("--keep-going", action="store_true", help="go on after a batch that broke something")
    return parser


def campaign(options: argparse.Namespace, what: str, size: int, batch: Batch) -> int:
    """All batches, in a process apart; the status. size: the cases that a batch which broke something counts for."""
    create_process.__kwdefaults__["engine"] = options.engine
    began = time.monotonic()
    status = confined(lambda directory: _run(options, what, size, lambda number: batch(number, directory)))
    verdict = "every rule held" if not status else "BROKEN"
    print(f"{options.cases:,} {what} in {time.monotonic() - began:,.0f} s: {verdict}")
    return status


def _run(options: argparse.Namespace, what: str, size: int, batch: Callable[[int], int]) -> int:
    done, number, broken, told = 0, options.first, 0, time.monotonic()
    while done < options.cases:
        try:
            done += batch(number)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            broken += 1
            print(f"batch {number} (--seed {options.seed} --first {number} --cases 1):", file=sys.stderr)
            traceback.print_exception(error)
            if not options.keep_going:
                return 1
            done += size
        number += 1
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"{done:,} {what}", file=sys.stderr, flush=True)
    return 1 if broken else 0
