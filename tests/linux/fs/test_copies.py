"""copy_file_range between files in memory refuses what Linux 6.18 does: impossible places, a part over itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from axptr.linux import Tmpfs

from ..conftest import run_guest

COPIES = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>
static void copy(int from, long at, int to, long there, size_t size) {
    long r = copy_file_range(from, &at, to, &there, size, 0);
    printf("%d ", (int)(r < 0 ? -errno : r));
}
int main(void) {
    char bytes[4100] = {1};
    chdir("/t");
    int f = open("f", O_CREAT | O_RDWR, 0600), g = open("g", O_CREAT | O_RDWR, 0600);
    int reader = open("f", O_RDONLY), writer = open("g", O_WRONLY), end = open("g", O_WRONLY | O_APPEND);
    write(f, bytes, sizeof bytes);
    copy(f, -1, g, 0, 0); copy(f, -1, g, 0, 1); copy(f, -5, g, 0, 4); copy(f, 0, g, -1, 5); copy(f, LONG_MIN, g, 0, 5);
    copy(f, 4099, g, 0, 5); copy(f, 5000, g, 0, 5); copy(f, 5, g, 0, -1);
    copy(f, 510, f, 100, 500); copy(f, 600, f, 100, 500); copy(f, 4000, f, 4100, 500); copy(f, 0, f, 0, 0);
    copy(reader, 0, f, 5, 5); copy(reader, 0, f, 4, 5);
    copy(writer, 0, f, 0, 5); copy(f, 0, reader, 0, 5); copy(f, 0, end, 0, 5);
    return 0;
}
"""


def test_places_that_cannot_be_and_parts_over_themselves_are_refused(compile_guest: Callable[..., Path]) -> None:
    program = compile_guest("copies", "-static", source=COPIES)
    (line,) = run_guest(program, mounts={"/t": Tmpfs()}).lines
    assert line.split() == [
        "-22", "-75", "-22", "-75", "-22",
        "1", "0", "-75",
        "-22", "500", "100", "0",
        "5", "-22",
        "-9", "-9", "-9",
    ]  # fmt: skip
