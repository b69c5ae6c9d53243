"""Every call that takes a pointer, with every pointer that is none: the results are the host's, call by call."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

from axptr.linux.registry import table

from .abuse import EXCEPTIONS, abused
from .abuserows import FAULTING, ROWS
from .caller import Answer, Script

POINTERS = sorted(
    entry.name for entry in table("x86_64").values() if any(param.kind == "pointer" for param in entry.params)
)
VARY = {"time", "times", "getcwd", "getdents", "getdents64", "sched_getaffinity", "getgroups", "getpid", "gettid"}
VARY |= {"shmget", "semget", "msgget"}
"""What they give where all goes well is the host's own."""
NO_FAULTS = {"set_robust_list", "wait4", "waitid", "getgroups", "flistxattr", "io_submit"}
"""The first keeps an address; those that wait find no child; of groups and attributes the host may have none; a context
to submit to has a number that differs (its pointers: `guests/equal/aio.c`)."""


def prepare(root: Path) -> None:
    for name, size in (("file", 64), ("other", 64), ("d/in", 0)):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"f" * size)
    (root / "link").symlink_to("file")
    (root / "many").mkdir()
    for i in range(200):
        (root / "many" / f"{i:04}").touch()
    with contextlib.suppress(OSError):
        os.setxattr(root / "file", "user.a", b"value")


def test_every_call_with_a_pointer_has_a_row_or_a_reason() -> None:
    assert not {*ROWS, *FAULTING} & EXCEPTIONS.keys()
    assert sorted({*ROWS, *FAULTING, *EXCEPTIONS} & {*POINTERS}) == POINTERS
    assert {*ROWS, *FAULTING} <= {*POINTERS}


@pytest.mark.parametrize("name", sorted(ROWS.keys() | FAULTING.keys()))
def test_abused_pointers_give_what_they_give_on_the_host(name: str, answers: Any) -> None:
    script = Script()
    abused(script, name, ROWS.get(name) or FAULTING[name], faults=name in FAULTING)

    def same(answer: Answer) -> bool:
        return answer.result < 0 or answer.call.partition("(")[0] not in VARY

    made = answers(script, prepare, same)
    assert name in NO_FAULTS or any(answer.error == "EFAULT" for answer in made)
