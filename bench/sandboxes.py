"""What a sandbox, a policy and a pool cost. A bar in seconds is a peer that takes just so long."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from axptr import Pool, Sandbox
from axptr.linux import Policy

from .harness import Benchmark, Mode, Pair, Side, Skip
from .programs import needed, timed, told

COMMAND = "echo hi"
POLICY_CALLS = 2000
COLD = """
import time
from axptr import Sandbox
began = time.perf_counter()
with Sandbox() as s:
    assert s.run("echo hi").stdout == b"hi\\n"
    print(time.perf_counter() - began)
"""
SANDLOCK = """
import sandlock, sys
box = sandlock.Sandbox(fs_readable=["/usr", "/lib", "/lib64", "/bin", "/etc"])
box.run(["true"])
import time
began = time.perf_counter()
assert box.run(["/bin/sh", "-c", "echo hi"]).stdout.strip() in (b"hi", "hi")
print(time.perf_counter() - began)
"""
OPENS = "i=0; while [ $i -lt 2000 ]; do : < /etc/passwd; i=$((i+1)); done"
SANDLOCK_HANDLERS = f"""
import sandlock, time
class Judge(sandlock.Handler):
    seen = 0
    def handle(self, call):
        self.seen += 1
        return sandlock.NotifAction.continue_()
judge = Judge()
box = sandlock.Sandbox(fs_readable=["/usr", "/lib", "/lib64", "/bin", "/etc"])
began = time.perf_counter()
done = box.run_with_handlers(["/bin/sh", "-c", {OPENS!r}], [("openat", judge)])
assert done.success and judge.seen >= 2000, (done, judge.seen)
print(time.perf_counter() - began)
"""
RUNS = 2000


def benchmarks() -> list[Benchmark]:
    return [
        Benchmark("sandbox.cold", f"Sandbox().run({COMMAND!r}), the first of a process", "40 ms", 1.0, _cold),
        Benchmark("sandbox.warm", f"a sandbox of a snapshot runs {COMMAND!r} and is closed", "5 ms", 1.0, _warm),
        Benchmark("sandbox.warm.unshare", "the same", "unshare -mpf --mount-proc sh -c", None, _warm_unshare),
        Benchmark("sandbox.warm.bwrap", "the same", "bwrap with the host's directories, sh -c", None, _warm_bwrap),
        Benchmark("sandbox.warm.sandlock", "the same", "sandlock's Sandbox.run", None, _warm_sandlock),
        Benchmark("policy.before", "fcntl with a function before it", "the bare handler and 1 us", 1.0, _before),
        Benchmark("policy.argument", "the same, which asks for an argument", "the same", 1.0, _argument),
        Benchmark("policy.after", "fcntl with a function after it", "the same", 1.0, _after),
        Benchmark(
            "policy.sandlock",
            "a shell opens a file 2,000 times, a function before each",
            "sandlock's handlers",
            None,
            _handlers,
        ),
        Benchmark("pool.two", "a campaign over two processes", "over one", 1 / 1.8, _pool_two),
        Benchmark("pool.ray", "a campaign over two actors of a local Ray", "over two processes", 1.05, _pool_ray),
    ]


def takes(seconds: float) -> Side:
    return lambda times: times * seconds


# -- sandboxes


def _cold(mode: Mode) -> Pair:
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", COLD]
    subprocess.run(command, env=environment, check=True, capture_output=True)  # writes bytecode
    return Pair(told(command, environment), takes(0.040), slow=1)


def _warm_side() -> tuple[Side, Callable[[], None]]:
    origin = Sandbox()
    snapshot = origin.snapshot()

    def side(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            with Sandbox.from_snapshot(snapshot) as box:
                assert box.run(COMMAND).stdout == b"hi\n"
        return time.perf_counter() - began

    return side, origin.close


def _warm(mode: Mode) -> Pair:
    side, close = _warm_side()
    return Pair(side, takes(0.005), close=close)


def _against(command: list[str]) -> Pair:
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        raise Skip(f"{command[0]} does not run here: {done.stderr.decode(errors='replace').strip()[:200]}")
    side, close = _warm_side()
    return Pair(side, timed(command), close=close)


def _warm_unshare(mode: Mode) -> Pair:
    flags = ["-mpf", "--mount-proc"] if os.getuid() == 0 else ["-rmpf", "--mount-proc"]
    return _against([needed("unshare"), *flags, "/bin/sh", "-c", COMMAND])


def _warm_bwrap(mode: Mode) -> Pair:
    seen = [word for path in ("/usr", "/bin", "/lib", "/lib64", "/etc") for word in ("--ro-bind-try", path, path)]
    alone = ["--unshare-all", "--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev"]
    return _against([needed("bwrap"), *seen, *alone, "/bin/sh", "-c", COMMAND])


def _warm_sandlock(mode: Mode) -> Pair:
    command = [sys.executable, "-c", SANDLOCK]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Skip(f"sandlock does not run here: {(done.stderr.strip().splitlines() or ['?'])[-1][:200]}")
    side, close = _warm_side()
    return Pair(side, told(command), slow=1, close=close)


# -- policies


def _watched(say: Callable[[Policy], object] | None) -> tuple[Side, Callable[[], None]]:
    """Calls of fcntl(0, F_GETFD), as the kernel makes them for a program that stands still meanwhile."""
    policy = Policy()
    if say is not None:
        say(policy)
    box = Sandbox(policy=policy)
    task: Any = box.begin(["/bin/cat"], None)._process.task
    call = box.linux.kernel._table[72]

    def side(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times * POLICY_CALLS):
            call(task, 0, 1, 0, 0, 0, 0)
        return time.perf_counter() - began

    return side, box.close


def _policy(say: Callable[[Policy], object]) -> Pair:
    subject, close = _watched(say)
    bare, close_bare = _watched(None)

    def both() -> None:
        close()
        close_bare()

    return Pair(subject, lambda times: bare(times) + times * POLICY_CALLS * 1e-6, operations=POLICY_CALLS, close=both)


def _before(mode: Mode) -> Pair:
    return _policy(lambda policy: policy.before("fcntl")(lambda call: None))


def _argument(mode: Mode) -> Pair:
    return _policy(lambda policy: policy.before("fcntl")(lambda call: None if call["fd"] < 1000 else -1))


def _after(mode: Mode) -> Pair:
    return _policy(lambda policy: policy.after("fcntl")(lambda call: call.result))


def _handlers(mode: Mode) -> Pair:
    command = [sys.executable, "-c", SANDLOCK_HANDLERS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Skip(f"sandlock does not run here: {(done.stderr.strip().splitlines() or ['?'])[-1][:200]}")
    policy = Policy()
    policy.before("openat")(lambda call: None)
    box = Sandbox(policy=policy)

    def side(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            assert box.run(OPENS).ok
        return time.perf_counter() - began

    return Pair(side, told(command), operations=2000, slow=1, close=box.close)


# -- pools


def say(sandbox: Sandbox, item: int) -> bytes:
    return bytes(sandbox.run(f"echo {item}").stdout)


def _campaign(snapshot: Path, runs: int, workers: int, over: str | None) -> tuple[Side, Callable[[], None]]:
    pool = Pool(snapshot, workers, over=over)
    list(pool.map(say, range(2 * workers)))  # all of them are there

    def side(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            for item, text in enumerate(pool.map(say, range(runs))):
                assert text == b"%d\n" % item
        return time.perf_counter() - began

    return side, pool.close


def _pools(mode: Mode, subject: tuple[int, str | None], peer: tuple[int, str | None]) -> Pair:
    if len(os.sched_getaffinity(0)) < 2:
        raise Skip("one CPU: two processes take turns here")
    import tempfile

    directory = Path(tempfile.mkdtemp(prefix="axptr-bench-"))
    with Sandbox() as origin:
        origin.snapshot().save(directory / "snapshot")
    runs = 40 if mode.smoke else RUNS
    first, close_first = _campaign(directory / "snapshot", runs, *subject)
    second, close_second = _campaign(directory / "snapshot", runs, *peer)

    def close() -> None:
        close_first()
        close_second()
        shutil.rmtree(directory)

    return Pair(first, second, operations=runs, slow=1, close=close)


def _pool_two(mode: Mode) -> Pair:
    return _pools(mode, (2, None), (1, None))


def _pool_ray(mode: Mode) -> Pair:
    try:
        import ray
    except ImportError:
        raise Skip("Ray is not installed: pip install 'axptr[ray]'") from None
    root = str(Path(__file__).resolve().parent.parent)
    os.environ.setdefault("RAY_worker_niceness", "0")  # else whatever the host does besides, it does to one side alone
    if not ray.is_initialized():
        ray.init(
            num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": root}}
        )
    pair = _pools(mode, (2, "ray"), (2, None))

    def close() -> None:
        pair.close()
        ray.shutdown()

    return Pair(pair.subject, pair.peer, operations=pair.operations, slow=1, close=close)
