"""`python -m bench`: every bar of this project, measured here and now.

Exit status: 0 when no bar was missed (skipped ones count as said, not as missed), 1 when one was or when a
benchmark failed to run, 2 for a wrong command line.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import (
    areas,
    engine,
    machine,
    native,
    pipes,
    pointers,
    programs,
    report,
    sandboxes,
    searches,
    snapshots,
    spaces,
    startup,
    strings,
    transfers,
    types,
)
from .harness import Benchmark, Mode, Result, run


def all_benchmarks() -> list[Benchmark]:
    """In the order of the table; the slow ones last."""
    groups = (
        pointers,
        types,
        strings,
        transfers,
        searches,
        areas,
        spaces,
        engine,
        native,
        pipes,
        machine,
        sandboxes,
        snapshots,
        startup,
        programs,
    )
    return [benchmark for group in groups for benchmark in group.benchmarks()]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure axptr against its peers.")
    parser.add_argument("--smoke", action="store_true", help="short rounds: does everything still run")
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        default=[],
        help="those whose name contains NAME; repeatable",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, default=Path("bench-results.json"))
    parser.add_argument(
        "--no-fail", action="store_true", help="a missed bar does not change the exit status (a crash does)"
    )
    parser.add_argument("--list", action="store_true", help="name the benchmarks and end")
    options = parser.parse_args(arguments)

    chosen = [
        benchmark
        for benchmark in all_benchmarks()
        if not options.only or any(name in benchmark.name for name in options.only)
    ]
    if not chosen:
        parser.error(f"no benchmark is called {' or '.join(options.only)}; see --list")
    if options.list:
        for benchmark in chosen:
            bar = "no bar" if benchmark.bar is None else f"at most {benchmark.bar:.3g} times"
            print(f"{benchmark.name}\n    {benchmark.subject}\n    against {benchmark.peer}: {bar}")
        return 0

    mode = Mode.short() if options.smoke else Mode.full()
    table = report.Table(benchmark.name for benchmark in chosen)
    print(table.head(), flush=True)

    def said(result: Result) -> None:
        print(table.line(result), flush=True)

    results = run(chosen, mode, said)
    report.write_json(options.json, results, mode)
    print(f"{report.summary(results)}\nwritten to {options.json}")
    counted = ("error",) if options.no_fail else ("error", "miss")
    return 1 if any(result.verdict in counted for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
