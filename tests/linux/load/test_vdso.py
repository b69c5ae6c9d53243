"""The vDSO: what is looked for in it, times that agree with the calls, and no call where the CPU is the host's."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr.linux import Linux, MachineSnapshot, Process
from axptr.linux import system as system_module
from axptr.linux.host import HostView

from ..conftest import run_guest, run_host

ENGINES = ("unicorn", "native")


@pytest.mark.parametrize("options", [{}, {"seed": 1}])
def test_its_functions_agree_with_the_calls_as_on_the_host(
    compile_guest: Callable[..., Path], engine_name: str, options: dict[str, int]
) -> None:
    program = compile_guest("vdso", "-O1")
    if options and engine_name == "native":
        pytest.skip("runs with a seed are emulated")
    host = run_host(program)
    ours = run_guest(program, engine=engine_name, **options)
    assert host.lines[0] == "there 1 loaded 1"
    assert ours.lines == host.lines
    assert ours.status == 0


SPINS = """
#include <time.h>
#include <sys/time.h>
static const clockid_t rest[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_TAI};
int main(void) {
    struct timespec t;
    struct timeval v;
    unsigned long sum = 0;
    for (int i = 0; i < 50000; i++) {
        if (clock_gettime(rest[i % 5], &t) || gettimeofday(&v, 0)) return 1;
        sum += time(0);
    }
    return sum == 0;
}
"""
TIMES = ("clock_gettime", "gettimeofday", "time")


def counting(process: Process) -> None:
    process.kernel.count_calls = True


@pytest.mark.parametrize("flags", [(), ("-static",)])
def test_programs_tell_the_time_without_a_call(
    compile_guest: Callable[..., Path], engine_name: str, flags: tuple[str, ...]
) -> None:
    program = compile_guest("spins" + "".join(flags), "-O1", *flags, source=SPINS)
    made: dict[str, int] = {}
    done = run_guest(
        program, engine=engine_name, watch=counting, after=lambda process: made.update(process.kernel.calls)
    )
    assert done.status == 0
    calls = sum(made.get(name, 0) for name in TIMES)
    if engine_name == "unicorn":
        assert calls >= 150_000
    else:
        assert calls < 75_000, "the host's clock is made of another counter"


class AheadView(HostView):
    """A machine whose clocks are a day, and an hour, before the host's."""

    def ahead(self) -> tuple[int, int] | None:
        return 86_400 * 10**9, 3_600 * 10**9

    def realtime_ns(self) -> int:  # type: ignore[override]
        return time.time_ns() + 86_400 * 10**9

    def monotonic_ns(self) -> int:  # type: ignore[override]
        return time.monotonic_ns() + 3_600 * 10**9

    def monotonic(self) -> float:  # type: ignore[override]
        return time.monotonic() + 3_600

    def clock_ns(self, clock: int) -> int:
        return {0: self.realtime_ns, 1: self.monotonic_ns}.get(clock, lambda: HostView.clock_ns(self, clock))()


class OtherView(AheadView):
    """One whose time passes at another rate, so that none of it can be told by a counter."""

    def ahead(self) -> None:
        return None


@pytest.mark.parametrize("view", [AheadView, OtherView])
def test_a_machine_with_a_clock_of_its_own_tells_that(
    compile_guest: Callable[..., Path], engine_name: str, monkeypatch: pytest.MonkeyPatch, view: type[HostView]
) -> None:
    program = compile_guest("vdso", "-O1")
    monkeypatch.setattr(system_module, "_view", lambda seed: view())
    before = time.monotonic_ns(), int(time.time())
    done = run_guest(program, "show", engine=engine_name)
    after = time.monotonic_ns(), int(time.time())
    assert done.status == 0
    assert "backwards 0 0" in done.lines
    assert all("order 1" in line for line in done.lines if line.startswith(("clock 0:", "clock 1:")))
    monotonic, real = map(int, done.stderr.split()[:2])
    assert before[0] <= monotonic - 3_600 * 10**9 <= after[0]
    assert before[1] <= real - 86_400 <= after[1]


COUNTER = """
#include <stdio.h>
#include <stdint.h>
#include <x86intrin.h>
int main(void) {
    unsigned aux = 7;
    uint64_t first = __rdtsc(), second = __rdtscp(&aux), third = __rdtsc();
    printf("%d %d %lu\\n", first <= second && second <= third, aux, (unsigned long)(first / 3600000000000ull));
    return 0;
}
"""


def test_the_counter_of_a_machine_with_a_clock_of_its_own_is_that_clock(
    compile_guest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = compile_guest("counter", "-O1", source=COUNTER)
    monkeypatch.setattr(system_module, "_view", lambda seed: OtherView())
    done = run_guest(program, engine="native")
    hours = (time.monotonic_ns() + 3_600 * 10**9) // 3_600_000_000_000
    assert done.lines in ([f"1 0 {hours}"], [f"1 0 {hours - 1}"])


def test_it_lies_where_maps_say(compile_guest: Callable[..., Path], engine_name: str) -> None:
    program = compile_guest(
        "showsmaps",
        source="""
        #include <stdio.h>
        #include <string.h>
        #include <sys/auxv.h>
        int main(void) {
            char line[400], *base = (char *)getauxval(AT_SYSINFO_EHDR);
            FILE *maps = fopen("/proc/self/maps", "r");
            while (fgets(line, sizeof line, maps)) {
                unsigned long start, end;
                char rest[400];
                if (strstr(line, "[vdso]") || strstr(line, "[vvar")) {
                    sscanf(line, "%lx-%lx %[^\\n]", &start, &end, rest);
                    printf("%s image %d\\n", rest, start == (unsigned long)base);
                }
            }
            return 0;
        }
        """,
    )
    ours, host = run_guest(program, engine=engine_name), run_host(program)
    assert ours.lines == host.lines


@pytest.mark.parametrize("kept", [True, False])
def test_the_clock_has_its_frame_alone_whatever_is_snapshotted(kept: bool, tmp_path: Path) -> None:
    """A frame that a snapshot had, too, was somebody else's when the snapshot went: and the clock wrote on into it."""

    def requires_its_own(linux: Linux) -> None:
        vdso = linux.machine.vdso
        assert vdso.store.frames()[0] == vdso._clock_at
        assert linux.phys.refcount(vdso._clock_at) == 1
        linux.phys._check()

    def run(linux: Linux) -> None:
        process = linux.spawn(["/bin/true"])
        assert process.run().exit_code == 0
        process.close()
        requires_its_own(linux)

    with Linux() as linux:
        run(linux)
        first = linux.snapshot()  # no program shows the pages
        requires_its_own(linux)
        second = linux.snapshot()
        first.save(tmp_path / "machine")
        others = [Linux.from_snapshot(second), Linux.from_snapshot(MachineSnapshot.load(tmp_path / "machine"))]
        if not kept:
            del first, second
        for other in (linux, *others):
            requires_its_own(other)
            run(other)
        if kept:
            linux.restore(second)
            requires_its_own(linux)
            run(linux)
        for other in others:
            other.close()
