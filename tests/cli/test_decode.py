"""How numbers, flags and bytes are printed; sizes and times read."""

from __future__ import annotations

import pytest

from axptr.cli import run
from axptr.linux.abi.numbers import NAMES, name_of
from axptr.linux.strace import constants
from axptr.linux.strace.decode import quoted


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", '""'),
        (b"plain", '"plain"'),
        (b'a"b\\c\n\t\r', r'"a\"b\\c\n\t\r"'),
        (b"\0\x01\x7f\xff", r'"\0\1\177\377"'),
        (b"\x017", r'"\0017"'),
        (b"x" * 32, '"' + "x" * 32 + '"'),
        (b"x" * 33, '"' + "x" * 32 + '"...'),
    ],
)
def test_bytes_are_quoted_as_in_c(data: bytes, text: str) -> None:
    assert quoted(data) == text


@pytest.mark.parametrize(
    ("value", "table", "text"),
    [
        (0, constants.PROT, "PROT_NONE"),
        (3, constants.PROT, "PROT_READ|PROT_WRITE"),
        (0x22, constants.MAP, "MAP_PRIVATE|MAP_ANONYMOUS"),
        (0, constants.AT, "0"),
        (0x1100, constants.AT, "AT_SYMLINK_NOFOLLOW|AT_EMPTY_PATH"),
        (0x410000, constants.OPEN, "O_TMPFILE"),
        (0x80040, constants.OPEN, "O_CREAT|O_CLOEXEC"),
        (0x40000008, constants.PROT, "0x40000008"),
    ],
)
def test_flags_are_named_and_unknown_bits_kept(value: int, table: constants.Table, text: str) -> None:
    assert constants.flag_names(value, table) == text


def test_names_of_system_calls() -> None:
    assert [name_of(n) for n in (0, 59, 257, 334, 424, 435, 1000)] == [
        *("read", "execve", "openat", "rseq", "pidfd_send_signal", "clone3", "syscall_1000")
    ]
    assert len(set(NAMES.values())) == len(NAMES)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("64K", 1 << 16),
        ("64k", 1 << 16),
        ("1.5M", 3 << 19),
        ("2GiB", 1 << 31),
        ("1T", 1 << 40),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert run.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1M", "0", "1X", "1e400G", "nanK", "1.5"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="--memory-limit"):
        run.parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1", 1.0), ("0.25", 0.25), ("90s", 90.0), ("2m", 120.0), ("1h", 3600.0)]
)
def test_times(text: str, seconds: float) -> None:
    assert run.parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1", "0", "inf", "nan", "1d"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="--timeout"):
        run.parse_time(text)
