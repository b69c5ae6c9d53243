"""Running a program to a place, and looking at it there."""

from __future__ import annotations

from ctypes import c_char, c_double, c_int, c_long
from pathlib import Path

import pytest

from axptr import UserConstPtr
from axptr.debug import Symbols, arguments, backtrace, returned
from axptr.linux import create_process
from programs import compiled, shared_directory

SOURCE = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define KEEP __attribute__((noinline, noclone))
KEEP int twice(int n) { return 2 * n; }
KEEP double many(int a, const char *b, double c, long d, long e, long f, long g, long h) {
    return a + strlen(b) + c + d + e + f + g + h; }
KEEP int in_thread(int n) { return n + 1; }
void *thread(void *data) { return (void *)(long)in_thread(41); }
int main(int argc, char **argv) {
    int sum = 0;
    for (int i = 0; i < 10; i++) sum += twice(i);
    double all = many(-1, "text", 2.5, 3, 4, 5, 6, 1L << 40);
    void *volatile room = malloc(12345);
    free(room);
    pthread_t other;
    void *result;
    pthread_create(&other, 0, thread, 0);
    pthread_join(other, &result);
    char line[100];
    int n = snprintf(line, sizeof line, "%d %.1f %ld\n", sum, all, (long)result);
    write(1, line, n);
    write(1, "end\n", 4);
    return 7;
}
"""


@pytest.fixture
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(shared_directory(tmp_path_factory), "until", SOURCE, ("-O1", "-pthread"))


ENGINES = ("native", "unicorn")


def test_a_function_is_come_to_and_gone_on_from(program: Path, engine_name: str) -> None:
    with create_process(program, engine=engine_name) as process:
        stop = process.run(timeout=60, until="main").stopped
        assert stop is not None
        assert (stop.place, stop.address) == ("main", Symbols(process.space).address_of("main"))
        assert arguments(process, c_int)[0] == 1
        seen = []
        for _ in range(3):
            result = process.run(timeout=60, until="twice")
            assert result.stopped is not None
            assert (result.exit_code, result.timed_out) == (None, False)
            seen += arguments(process, c_int)
            assert [frame.location.symbol for frame in backtrace(process)[:2]] == ["twice", "main"]
        assert process.run(timeout=60, until="twice", count=5).stopped is not None
        assert [*seen, *arguments(process, c_int)] == [0, 1, 2, 7]
        back = backtrace(process)[1].pc
        assert process.run(timeout=60, until=back).stopped is not None
        assert returned(process, c_int) == 14
        assert process.run(timeout=60, until="twice", count=9).exit_code == 7  # it is not called so often any more
        with pytest.raises(RuntimeError, match="ended"):
            process.run(until="twice")


def test_arguments_of_every_kind_are_typed_values(program: Path, engine_name: str) -> None:
    with create_process(program, engine=engine_name) as process:
        assert process.run(timeout=60, until="many").stopped is not None
        kinds = c_int, UserConstPtr[c_char], c_double, c_long, c_long, c_long, c_long, c_long
        first, text, real, *rest = arguments(process, *kinds)
        assert (first, text.get_as_str(process.task), real, rest) == (-1, "text", 2.5, [3, 4, 5, 6, 1 << 40])
        process.run(timeout=60, until=backtrace(process)[1].pc)
        assert returned(process, c_double) == -1 + 4 + 2.5 + 18 + (1 << 40)
        with pytest.raises(TypeError, match="integer type"):
            arguments(process, str)


def test_a_library_is_waited_for_and_a_name_that_nothing_has_is_an_error(program: Path) -> None:
    with create_process(program) as process:
        for _ in range(1000):
            assert process.run(timeout=60, until="libc.so.6!malloc").stopped is not None
            if arguments(process, c_long)[0] == 12345:
                break
        assert backtrace(process)[1].location.symbol == "main"
        with pytest.raises(LookupError, match="no_such_function"):
            process.run(timeout=60, until="no_such_function")


def test_a_system_call_has_just_been_made(program: Path, engine_name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with create_process(program, engine=engine_name) as process:
        told: list[str] = []
        process.kernel.on_call = lambda task, call, args, result: told.append(call.name)
        stop = process.run(timeout=60, until="call:write", count=2).stopped
        assert stop is not None
        assert (stop.call, stop.result, capfd.readouterr().out.splitlines()[1]) == ("write", 4, "end")
        assert stop.arguments is not None
        assert stop.arguments[1].read_slice(process.task, 4) == b"end\n"
        assert told.count("write") == 2  # the tracer that was there is told, too
        assert process.run(timeout=60, until="call:write").exit_code == 7
        assert told[-1] == "exit_group"
    with create_process(program) as process:
        with pytest.raises(LookupError, match="no_such_call"):
            process.run(until="call:no_such_call")
        for wrong in (0, -1, True):
            with pytest.raises(ValueError, match="number of times"):
                process.run(until="main", count=wrong)
        with pytest.raises(TypeError, match="symbol"):
            process.run(until=1.5)  # type: ignore[arg-type]


def test_a_thread_that_comes_there_is_the_one_that_is_told(program: Path, engine_name: str) -> None:
    with create_process(program, engine=engine_name) as process:
        stop = process.run(timeout=60, until="in_thread").stopped
        assert stop is not None
        assert stop.task is not process.task
        assert arguments(stop.task, c_int) == (41,)
        assert backtrace(stop.task)[1].location.symbol == "thread"
        assert process.run(timeout=60).exit_code == 7


def test_time_that_is_up_and_a_death_on_the_way_are_what_they_are(tmp_path_factory: pytest.TempPathFactory) -> None:
    source = "int never(void) { return 1; } int main(int n, char **v) { if (n > 1) *(volatile int *)0 = 1; for (;;); }"
    program = compiled(shared_directory(tmp_path_factory), "never", source, ("-O0",))
    with create_process(program) as process:
        assert process.run(timeout=60, until="main").stopped is not None
        assert process.run(timeout=0.3, until="never").timed_out
        assert process.run(timeout=0.3, until="main").timed_out  # it is past that
    with create_process(program, ["never", "die"]) as process:
        assert process.run(timeout=60, until="never").signal == 11
