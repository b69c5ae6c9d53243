"""What an instruction is taken for, from its bytes."""

from __future__ import annotations

import pytest

from axptr._core.cpu.x86 import codescan

PLAIN, UNFINISHED, READS_FLAGS, SETS_FLAGS, PAUSE, UNDEFINED, STRINGS, EXCHANGE, NEGATE, TEST = range(10)
CONTROLS, COMPARE, TRUNCATE, SELECTOR, PAIR, HORIZONTAL, REWRITE = range(10, 17)

KINDS = {
    UNDEFINED: "c5f058c2 c4e2c8f3da 62f17c4858c2 66c5f058c2 8fc8 8fe8 f0488907 f00fa3c0 f0d0c0 f090 f00fbae005 "
    "f00fba2005 f083c001 f08b07 f0ff37 0f3a60c00c f3660f3a60c00c 660fc307 8ec8 8ef0",
    STRINGS: "660f3a60c000 660f3a61c000 66480f3a6105785634120c 660f3a62c00c 660f3a63470c0c",
    EXCHANGE: "0fb1c8 f00fb10f 440fb1c8 0fb18f00000000",
    NEGATE: "f0f61f f048f71f f0f75f08",
    TEST: "f6c801 f74f0801000000 48f7c801000000",
    CONTROLS: "0fae17 0fae0f 0fae5424f8",
    COMPARE: "dbe9 dbf1 dfe9 dff1",
    TRUNCATE: "db0f dd4f08 df0f",
    SELECTOR: "8ed8 8ee0 668ec0 8e07 0fa1 0fa9 0fb217",
    PAIR: "0fc70f f0480fc74f08",
    HORIZONTAL: "660f3801c0 66450f3803c9 0f3806d2 440f3806d2",
    REWRITE: "440f380630 450f3a0fe93f 66f20f2dc8 48668910 479f 419e 46c6c280 4cc7c000000000 0fc2c108 f20fc2470810",
    PAUSE: "f390 66f390",
    READS_FLAGS: "9c 669c",
    SETS_FLAGS: "9d 48cf",
    UNFINISHED: "66 f3 f0 0f 660f3a 660f3a63 660f3a63c0 f6 8f db 0fc2c1 0fae f048 0fc7 0f38",
    PLAIN: "90 c3 f348a5 f0480fb10f 660fb1c8 f00fab07 f0ff07 f0871f f04883450001 f60701 f7d8 f71f 8f07 0fae38 660fae38 "
    "dbe3 d9c0 f34190 0f58c1 660f3a63c000 0fc2c107 660f3801c1 66450f3801c8 f20f38f1c0 4889c0 66480f6ec0 f3480fb8c0 "
    "0fc7f0",
}


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind in KINDS for code in KINDS[kind].split()])
def test_instruction_is_taken_for_what_it_is(kind: int, code: str) -> None:
    assert codescan._kind(bytes.fromhex(code))[0] == kind


@pytest.mark.parametrize(
    "code",
    [code for kind in KINDS if kind not in (UNFINISHED, REWRITE) for code in KINDS[kind].split()]
    + ["48b8d8c0d8c0d8c0d8c0", "e800000000"],
)
def test_bytes_behind_an_instruction_do_not_matter(code: str) -> None:
    one = bytes.fromhex(code)
    for more in (b"\x00" * 15, b"\xff" * 15, b"\xf0" * 15, b"\xc5" * 15):
        assert codescan._kind(one + more)[0] == codescan._kind(one)[0]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != UNFINISHED])
def test_first_bytes_alone_say_what_it_is_or_nothing(kind: int) -> None:
    for code in KINDS[kind].split():
        one = bytes.fromhex(code)
        for size in range(1, len(one)):
            assert codescan._kind(one[:size])[0] in (kind, UNFINISHED, PLAIN), code[: 2 * size]


@pytest.mark.parametrize(
    ("code", "leak"),
    [
        ("d8c0", 2),
        ("d9c9", 2),
        ("dff1", 2),
        ("dd37", 1),
        ("db2f", 0),
        ("8ee0", 1),
        ("8ed8", 0),
        ("660f70c101", 1),
        ("0fc6c101", 1),
        ("660f3a0fc108", 1),
        ("f20f38f1c0", 1),
        ("89c0d8c0", 0),
        ("48b8d8c0d8c0d8c0d8c0", 0),
    ],
)
def test_temporaries_that_an_instruction_leaks(code: str, leak: int) -> None:
    assert codescan._kind(bytes.fromhex(code))[1] == leak


@pytest.mark.parametrize(
    ("code", "before", "behind"),
    [
        ("31c0", False, True),  # xor eax, eax
        ("4831c0", False, False),
        ("4531c0", False, False),  # xor r8d, r8d
        ("b801000000", False, True),
        ("41b801000000", False, False),
        ("48b80100000001000000", True, False),
        ("8b07", False, True),  # mov eax, [rdi]
        ("488b07", True, False),
        ("668b07", False, False),
        ("8b4f04", True, True),  # mov ecx, [rdi + 4]
        ("488b4f04", True, True),
        ("4889c8", True, False),  # mov rax, rcx
        ("4989c8", True, True),  # mov r8, rcx
        ("89c1", True, True),
        ("83c801", True, True),  # or eax, 1
        ("4883c801", True, False),
        ("488d4701", True, False),  # lea rax, [rdi + 1]
        ("ba01000000", True, True),
        ("58", True, False),
        ("c3", True, False),
        ("7500", True, False),
        ("0f05", True, False),
        ("f00fb117", True, False),
    ],
)
def test_upper_half_of_rax_is_known_to_be_zero(code: str, before: bool, behind: bool) -> None:
    assert codescan._narrow(bytes.fromhex(code) + b"\0", before) == behind
