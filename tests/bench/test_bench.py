"""The benchmark harness: ratios, verdicts, exit status, what is written. Not how fast anything is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT)
    from bench import harness

    return harness


def steady(seconds: float) -> Any:
    """A side that takes `seconds` for a piece of work, by its own account."""
    return lambda times: times * seconds


def benchmark(harness: Any, subject: float, peer: float, bar: float | None, **options: Any) -> Any:
    pair = harness.Pair(steady(subject), steady(peer), **options)
    return harness.Benchmark("name", "subject", "peer", bar, lambda mode: pair)


@pytest.mark.parametrize(
    ("subject", "bar", "verdict"),
    [(0.5, 0.6, "pass"), (0.629, 0.6, "pass"), (0.631, 0.6, "miss"), (2.0, 0.6, "miss"), (2.0, None, "info")],
)
def test_ratio_above_the_bar_and_its_tolerance_is_a_miss(
    harness: Any, subject: float, bar: float | None, verdict: str
) -> None:
    result = harness.measure(benchmark(harness, subject / 100, 0.01, bar), harness.Mode.short())
    assert result.ratio == pytest.approx(subject)
    assert result.verdict == verdict
    assert result.rounds == harness.Mode.short().rounds


def test_seconds_are_those_of_one_operation(harness: Any) -> None:
    result = harness.measure(benchmark(harness, 0.5, 1.0, 1.0, operations=100, slow=1), harness.Mode.short())
    assert (result.subject_seconds, result.peer_seconds) == (0.005, 0.01)


def test_median_round_counts_and_order_alternates(harness: Any) -> None:
    order: list[str] = []
    times = iter([1.0, 9.0, 2.0])

    def subject(count: int) -> float:
        order.append("subject")
        return next(times)

    def peer(count: int) -> float:
        order.append("peer")
        return 1.0

    pair = harness.Pair(subject, peer, slow=1)
    mode = harness.Mode(smoke=False, round_seconds=0.004, rounds=9, slow_rounds=3)
    result = harness.measure(harness.Benchmark("n", "s", "p", 2.0, lambda mode: pair), mode)
    assert result.ratio == 2.0
    assert order == ["subject", "peer", "peer", "subject", "subject", "peer"]


def test_skip_says_why_and_error_does_not_stop_the_others(harness: Any) -> None:
    def skips(mode: Any) -> Any:
        raise harness.Skip("needs a thing")

    def fails(mode: Any) -> Any:
        raise OSError("broken")

    benchmarks = [
        harness.Benchmark("skips", "s", "p", 1.0, skips),
        harness.Benchmark("fails", "s", "p", 1.0, fails),
        benchmark(harness, 0.01, 0.01, 1.0),
    ]
    results = harness.run(benchmarks, harness.Mode.short())
    assert [(r.verdict, r.reason) for r in results] == [
        ("skip", "needs a thing"),
        ("error", "OSError: broken"),
        ("pass", ""),
    ]


def test_sides_are_closed_even_if_one_fails(harness: Any) -> None:
    closed = []

    def fails(times: int) -> float:
        raise RuntimeError

    pair = harness.Pair(fails, fails, close=lambda: closed.append(True))
    with pytest.raises(RuntimeError):
        harness.measure(harness.Benchmark("n", "s", "p", 1.0, lambda mode: pair), harness.Mode.short())
    assert closed == [True]


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=100
    )


def test_every_bar_of_the_project_has_a_benchmark() -> None:
    listed = bench("--list").stdout
    for name in ("u32.read.existing.task", "u32.write.built.space", "str.32.", "str.4096.", "slice.1MiB"):
        assert name in listed
    for name in (
        "areas.check",
        "syscall.nothing",
        "guest.hash",
        "guest.walk",
        "startup.true.qiling",
        "startup.true.python",
    ):
        assert name in listed
    for name in ("restore.size", "restore.madvise", "restore.qiling", "clone.fork", "cow.break", "populate.written"):
        assert name in listed
    for name in ("areas.calls.1000000", "native.touch", "native.restore", "partial.1", "engine.fault"):
        assert name in listed


def test_short_run_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    done = bench("--smoke", "--no-fail", "--only", "u32.read.existing", "--json", file)
    assert done.returncode == 0, done.stderr
    assert "u32.read.existing.task" in done.stdout
    document = json.loads(file.read_text())
    assert document["mode"] == "smoke"
    assert [result["name"] for result in document["results"]] == [
        "u32.read.existing.space",
        "u32.read.existing.task",
    ]
    for result in document["results"]:
        assert result["ratio"] > 0
        assert result["verdict"] in ("pass", "miss")


@pytest.mark.parametrize(
    "name", ["restore.size", "restore.madvise", "clone.fork", "cow.break", "populate", "areas.calls"]
)
def test_benchmarks_of_whole_spaces_run(name: str, tmp_path: Path) -> None:
    done = bench("--smoke", "--no-fail", "--only", name, "--json", tmp_path / "results.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " error" not in done.stdout


def test_unknown_name_is_a_usage_error() -> None:
    done = bench("--only", "nothing-like-it")
    assert done.returncode == 2
    assert "nothing-like-it" in done.stderr
