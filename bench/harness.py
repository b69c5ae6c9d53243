"""How a benchmark is measured: two sides, interleaved rounds, medians, one ratio, a verdict.

A benchmark times a *subject* (axptr) and a *peer* (what a reader would use instead, or a floor). Both are
run in turns within one process run, so that a machine that slows down slows both; the order within a round
alternates. The figure that counts is the median over the rounds of subject time over peer time; a bar is
missed when it exceeds the bar by more than `TOLERANCE`. Nothing is subtracted from either side: a loop's own
cost stays in both.

Not here: what is measured (the other modules), and how it is printed (`report`).
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

TOLERANCE = 0.05
"""How far above its bar a ratio may be and still pass: the noise of a run."""


class Skip(Exception):
    """This benchmark cannot run here; the message says why and what would make it run."""


@dataclass(frozen=True)
class Mode:
    """How long to measure: `round_seconds` is the time aimed at for one side of one round."""

    smoke: bool
    round_seconds: float
    rounds: int
    slow_rounds: int

    @classmethod
    def full(cls) -> Mode:
        return cls(smoke=False, round_seconds=0.02, rounds=25, slow_rounds=7)

    @classmethod
    def short(cls) -> Mode:
        return cls(smoke=True, round_seconds=0.002, rounds=5, slow_rounds=1)


Side = Callable[[int], float]
"""Runs a piece of work so many times and returns the seconds it took."""


@dataclass(frozen=True)
class Pair:
    """Two sides that do the same work.

    operations: what one piece of work counts as, for the printed time of one operation.
    slow: a piece takes long by itself (a process, a guest): it is run once a round, not calibrated, in fewer
    rounds times `slow`; in short form in one.
    """

    subject: Side
    peer: Side
    operations: int = 1
    slow: int = 0
    close: Callable[[], None] = lambda: None
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """One claim. `bar` is the ratio that must not be exceeded; None only reports."""

    name: str
    subject: str
    peer: str
    bar: float | None
    prepare: Callable[[Mode], Pair]


@dataclass(frozen=True)
class Result:
    """What came out: seconds are those of one operation, medians over the rounds."""

    name: str
    subject: str
    peer: str
    bar: float | None
    verdict: str  # "pass", "miss", "info", "skip" or "error"
    ratio: float | None = None
    ratio_quartiles: tuple[float, float] | None = None
    subject_seconds: float | None = None
    peer_seconds: float | None = None
    rounds: int = 0
    reason: str = ""
    notes: dict[str, Any] = field(default_factory=dict)


def work(function: Callable[..., object], *arguments: object) -> Side:
    """A side that calls `function(*arguments)` n times; the function holds the measured loop."""

    def side(times: int) -> float:
        counter = range(times)
        start = time.perf_counter()
        for _ in counter:
            function(*arguments)
        return time.perf_counter() - start

    return side


def measure(benchmark: Benchmark, mode: Mode) -> Result:
    """Prepares, warms, calibrates and times `benchmark`; a `Skip` becomes a result, other errors pass."""
    try:
        pair = benchmark.prepare(mode)
    except Skip as skip:
        return Result(benchmark.name, benchmark.subject, benchmark.peer, benchmark.bar, "skip", reason=str(skip))
    try:
        return _timed(benchmark, pair, mode)
    finally:
        pair.close()


def _timed(benchmark: Benchmark, pair: Pair, mode: Mode) -> Result:
    times_subject = times_peer = 1
    rounds = mode.slow_rounds * (1 if mode.smoke else pair.slow)
    if not pair.slow:
        rounds = mode.rounds
        times_subject = _calibrated(pair.subject, mode.round_seconds)
        times_peer = _calibrated(pair.peer, mode.round_seconds)
    subject: list[float] = []
    peer: list[float] = []
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            if number % 2:
                peer.append(pair.peer(times_peer) / times_peer)
                subject.append(pair.subject(times_subject) / times_subject)
            else:
                subject.append(pair.subject(times_subject) / times_subject)
                peer.append(pair.peer(times_peer) / times_peer)
    finally:
        if collecting:
            gc.enable()
    ratios = sorted(mine / theirs for mine, theirs in zip(subject, peer, strict=True))
    ratio = statistics.median(ratios)
    return Result(
        name=benchmark.name,
        subject=benchmark.subject,
        peer=benchmark.peer,
        bar=benchmark.bar,
        verdict=verdict(ratio, benchmark.bar),
        ratio=ratio,
        ratio_quartiles=(ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]),
        subject_seconds=statistics.median(subject) / pair.operations,
        peer_seconds=statistics.median(peer) / pair.operations,
        rounds=rounds,
        notes=pair.notes,
    )


def verdict(ratio: float, bar: float | None) -> str:
    """`pass` up to the bar plus the tolerance, `miss` above it, `info` where there is no bar."""
    if bar is None:
        return "info"
    return "pass" if ratio <= bar * (1 + TOLERANCE) else "miss"


def _calibrated(side: Side, seconds: float) -> int:
    """How many times fill a round; running it to find out is the warm-up as well."""
    side(1)
    times = 1
    while True:
        took = side(times)
        if took >= seconds / 4:
            return max(1, round(times * seconds / took))
        times *= 2 if took <= 0 else max(2, min(16, int(seconds / 3 / took)))


def run(
    benchmarks: Iterable[Benchmark], mode: Mode, said: Callable[[Result], None] = lambda result: None
) -> list[Result]:
    """Measures one after the other and tells each result to `said` as it comes.

    A benchmark that raises is a result of verdict `error`: the others still run, and the exit status says so.
    """
    results = []
    for benchmark in benchmarks:
        try:
            result = measure(benchmark, mode)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            result = Result(benchmark.name, benchmark.subject, benchmark.peer, benchmark.bar, "error", reason=reason)
        results.append(result)
        said(result)
    return results
