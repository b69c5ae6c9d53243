"""Every class of the personality says whether snapshots keep its objects: who adds one is told here, not by a user."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import axptr
from axptr._core.words.graph import Capture
from axptr.errors import SnapshotError
from axptr.linux.snapshots.owners import STATE, TRANSIENT
from axptr.linux.snapshots.rules import RULES, rule_for

ROOT = Path(axptr.__file__).parent


def classes() -> dict[str, set[str]]:
    """Module -> its classes that are neither exceptions nor mere words for types."""
    found: dict[str, set[str]] = {}
    for room in ("linux", "kernel", "_core/kernel"):
        for path in sorted((ROOT / room).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            for node in ast.parse(path.read_text()).body:
                bases = [ast.unparse(base) for base in getattr(node, "bases", [])]
                plain = isinstance(node, ast.ClassDef) and not any(
                    base.endswith(("Error", "Exception", "Protocol", "Enum", "WouldBlock")) or "dict[" in base
                    for base in bases
                )
                if plain:
                    found.setdefault(module, set()).add(node.name)
    return found


def test_every_class_that_can_hold_state_is_in_one_of_the_tables():
    """Calls, loaders and decoders hold none: their objects live within one call."""
    within_a_call = (
        "linux.calls", "linux.load", "linux.policy", "linux.strace", "linux.uaccess", "linux.proc.maps",
        "linux.snapshots", "kernel.abi", "kernel.convert",
    )  # fmt: skip
    others = {
        "linux.fs.commit:_Commit", "linux.fs.walk:Entry", "linux.fs.restricted:RestrictedWalk", "linux.ends:Result",
        "linux.net.control:ControlWriter", "linux.net.listing:Listed", "linux.registry:_Entered",
        "kernel.kernel:Syscall", "kernel.kernel:Kernel", "kernel.kernel:_Table", "linux.net.endpoint:Waits",
    }  # fmt: skip
    left = [
        f"{module}:{name}"
        for module, names in classes().items()
        if not module.startswith(within_a_call)
        for name in sorted(names)
        if name not in STATE.get(module, "").split() and name not in TRANSIENT.get(module, "").split()
        and f"{module}:{name}" not in others
    ]  # fmt: skip
    assert not left, "say in snapshots.owners what becomes of them"


def test_the_tables_name_classes_that_there_are():
    known = classes()
    for table in (STATE, TRANSIENT):
        for module, names in table.items():
            assert set(names.split()) <= known.get(module, set()), module


class Nobodys:
    pass


def test_an_object_of_nobody_is_refused_by_its_name():
    for it in (Nobodys(), [Nobodys()], lambda: 1, open):
        with pytest.raises(SnapshotError, match=r"Nobodys|lambda|builtin"):
            Capture(RULES, rule_for, None).finish(it)
