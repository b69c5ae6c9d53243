"""prctl(2): every option with every edge of its arguments, and what it reads back. The host is right."""

from __future__ import annotations

import itertools

import pytest

from ..caller import BAD, END, READ_ONLY, Script

PDEATHSIG, DUMPABLE, KEEPCAPS, NAME, TSC, SLACK, MCE, SUBREAPER, NO_NEW_PRIVS, THP = (
    (1, 2), (4, 3), (8, 7), (15, 16), (26, 25), (29, 30), (33, 34), (36, 37), (38, 39), (41, 42),
)  # fmt: skip


@pytest.mark.parametrize("option", [3, 7, 13, 21, 30, 34, 39, 42, 0, 5, 6, 17, 18, 70, 79, -1])
def test_what_is_read_refuses_arguments_that_it_has_not(answers, option: int) -> None:
    script = Script()
    for words in itertools.product((0, 1, 40, 41, -1), (0, 1), (0, 1)):
        script.call("prctl", option, *words, 0)
    script.call("prctl", option, 0, 0, 0, 1)
    answers(script)


@pytest.mark.parametrize("options", [DUMPABLE, KEEPCAPS, SLACK, NO_NEW_PRIVS, THP])
def test_what_is_set_is_read_back(answers, options: tuple[int, int]) -> None:
    script = Script()
    change, read = options
    values = (0, 1, 2, 3, -1, 1 << 31, 1 << 32, 50_000)
    if options == NO_NEW_PRIVS:
        values = (0, 2, -1, 1, 0)
    for value in values:
        for rest in ((0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0), (0, 1, 0), (0, 0, 1)):
            script.call("prctl", change, value, *rest)
            script.call("prctl", read, 0, 0, 0, 0)
    got = answers(script)
    assert "EINVAL" in {answer.error for answer in got} or options in (SLACK, KEEPCAPS, DUMPABLE)


def test_what_a_broken_page_does(answers) -> None:
    script = Script()
    for words in itertools.product((0, 1, 2, -1), (0, 1, 2, 3, -1), (0, 1), (0, 1)):
        script.call("prctl", MCE[0], *words)
        script.call("prctl", MCE[1], 0, 0, 0, 0)
    got = answers(script)
    assert {0, 1, 2} <= {answer.result for answer in got}


@pytest.mark.parametrize("options", [PDEATHSIG, TSC, SUBREAPER])
def test_what_is_set_is_stored_where_it_is_asked_for(answers, options: tuple[int, int]) -> None:
    script = Script()
    change, read = options
    at = script.room(8)
    for value in (1, 64, 65, 0, -1, 2, 1 << 32, 1):
        if options == TSC and value == 2:
            continue  # the program would be refused the counter
        script.call("prctl", change, value, 0, 0, 0)
        script.call("prctl", read, at, 0, 0, 0)
    for bad in (*BAD, READ_ONLY):
        script.call("prctl", read, bad, 0, 0, 0)
    got = answers(script)
    assert "EFAULT" in {answer.error for answer in got}


def test_names_of_every_length(answers) -> None:
    script = Script()
    at = script.room(32)
    for name in (b"", b"a", b"fifteen letters", b"sixteen letters!", b"seventeen letters", b"tail\0left", b"\xff\xfe"):
        script.call("prctl", NAME[0], script.put(name + b"\0"))
        script.call("prctl", NAME[1], at)
    for name in (b"short\0", b"exactly sixteen!", b"no end"):
        script.call("prctl", NAME[0], script.edge(name))
        script.call("prctl", NAME[1], at)
    for bad in (*BAD, READ_ONLY):
        script.call("prctl", NAME[0], bad)
        script.call("prctl", NAME[1], bad)
    for size in (1, 8, 15):
        script.call("prctl", NAME[1], END - size)
    answers(script)


NUMBERS = (*range(83), 100, 0x5356_4D41, 0x5961_6D61, 0x4155_5856, 0x5356_4D42)
OWN = {
    21: "what is left to call, of which other tests are",
    22: "what is left to call, of which other tests are",
    23: "the capabilities that there are, which are a container's",
    24: "the capabilities that there are, which are a container's",
    31: "counters of events, of which there are none",
    32: "counters of events, of which there are none",
    33: "another test has it",
    35: "takes a capability that a container has not",
    47: "the capabilities that there are, which are a container's",
    57: "takes a capability that a container has not",
    58: "takes a capability that a container has not",
    59: "calls come back as signals, of which another test is",
    61: "as on a kernel without it", 62: "as on a kernel without it",
    69: "of another CPU", 70: "of another CPU", 71: "of another CPU", 72: "of another CPU",
    78: "as on a kernel without it",
    0x5356_4D41: "as on a kernel without it",
}  # fmt: skip
"""Options that may give something else than on the host."""
WORDS = tuple(itertools.product((0, 1, 2, 3, 4, 7, 64, -1), (0, 1, 2, 3), (0, 1), (0, 1)))
_READS_COUNTER = 26, 2


def test_every_option_gives_what_it_gives_on_the_host(answers) -> None:
    """With numbers for arguments, those that are set in a row; and with an address. A kernel that is older may lack an
    option, and says EINVAL to all of it."""
    script, of = Script(), []
    at = script.room(4096)
    hidden = {40: [(at, 8)], 0x4155_5856: [(at, 448)]}
    for option in NUMBERS:
        if option in OWN:
            continue
        for words in WORDS:
            if (option, words[0]) != _READS_COUNTER:
                script.call("prctl", option, *words)
                of.append(option)
        for word in (0, 1, 8, 4096):
            for args in ((at, word, 0, 0), (word, at, 0, 0), (word, at, 4096, 0), (at, word, 1, 0)):
                script.call("prctl", option, *args, hide=hidden.get(option, ()))
                of.append(option)
        if option in (36, 28):
            script.call("prctl", option, 0, 0, 0, 0)
            of.append(option)
    got = answers(script, lacks=(of, "EINVAL"))
    for option in (1, 4, 15, 38, 41):
        assert any(answer.result == 0 for answer, its in zip(got, of, strict=True) if its == option), option
