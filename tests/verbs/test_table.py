"""docs/verbs.md is whole: each row has a test, each test has a row, and each public verb is in one."""

from __future__ import annotations

import re

import axptr
from axptr import UserPtr

from . import test_drgn, test_gvisor, test_linux, test_rust, test_vm_memory
from .table import DRGN, GVISOR, LINUX, ROWS, RUST, TESTS, VM, the_row_is_true, u32

MODULES = (test_linux, test_gvisor, test_rust, test_vm_memory, test_drgn)


def test_every_row_has_its_test() -> None:
    assert set(ROWS) - set(TESTS) == set()


def test_every_test_has_its_row() -> None:
    assert set(TESTS) - set(ROWS) == set()
    assert {section for section, _ in ROWS} == {LINUX, GVISOR, RUST, VM, DRGN}
    assert len(ROWS) > 120


def test_every_test_runs() -> None:
    assert {test.__module__ for test in TESTS.values()} == {module.__name__ for module in MODULES}
    assert all(module.test_the_row_is_true is the_row_is_true for module in MODULES)


def test_every_public_verb_is_beside_something() -> None:
    """What a row calls is public; and the verbs there are, but those that no peer has, stand in a row."""
    text = " ".join(ROWS.values())
    for verb in (
        *(name for name in axptr.__all__ if name[0].islower() and name not in NOT_A_VERB),
        *("UserSlice", "UserFile", "IoVec", "UserAtomic", "UserPtr", "UserConstPtr"),
        *(name for name in dir(UserPtr[u32](0)) if name[0] != "_" and name not in NOT_A_VERB),
        *(name for name in dir(axptr.UserAtomic) if name[0] != "_" and name not in NOT_A_VERB),
    ):
        assert re.search(rf"\b{verb}\b", text), f"{verb} is in no row"


NOT_A_VERB = {
    *("align_up", "align_down", "is_aligned", "default_memory", "enum_type"),
    *("access_user_memory", "is_accessing_user_memory", "check_region_with"),  # the mark, and the seed's other form
    *("T", "type", "ACCESS_FLAGS", "address", "is_null", "nullable", "as_const", "each", "get_as_null_terminated"),
    *("read_text", "read_terminated", "of"),  # no peer knows encodings, or terminators of more than a byte
}
