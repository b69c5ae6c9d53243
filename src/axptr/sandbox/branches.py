"""Snapshots of a sandbox: what of it goes along with its machine, and how it comes back.

A sandbox keeps in its machine, as plain data, what it is and which commands run in it (`Linux.notes`): so a snapshot of
the machine is one of the sandbox, in a file too. A policy's functions belong to this process:
branches share them, a file has none.

Not here: what a machine's snapshot is (`linux.snapshots`).
"""

from __future__ import annotations

from ..linux.system import Linux
from .driver import Driver
from .limits import Limits
from .spawned import Spawned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeVar

    from ..linux.policy.policy import Policy
    from ..linux.snapshots.snapshot import MachineSnapshot
    from .box import Sandbox

    S = TypeVar("S", bound=Sandbox)

_PLAIN = ("hostname", "user", "home", "env")


def take(box: Sandbox, drop: Iterable[str]) -> MachineSnapshot:
    """By the machine's thread."""
    linux = box.linux
    linux.notes["sandbox"] = {
        **{name: getattr(box, name) for name in _PLAIN},
        "limits": {name: getattr(box.limits, name) for name in Limits.__slots__},
        "commands": {spawned.pid: spawned.note() for spawned in box.commands.values() if not spawned.ended},
    }
    return linux.snapshot(drop=drop)


def from_snapshot(cls: type[S], snap: MachineSnapshot, engine: str | None, policy: Policy | None) -> S:
    """See `Sandbox.from_snapshot`."""
    linux = Linux.from_snapshot(snap, engine=engine, policy=policy)
    notes: dict[str, Any] | None = linux.notes.get("sandbox")
    if notes is None:
        linux.close()
        raise ValueError("this is a snapshot of a machine that was in no sandbox")
    try:
        with snap.sensible():
            return _around(cls.__new__(cls), linux, notes)
    except BaseException:
        linux.close()
        raise


def _around(box: S, linux: Linux, notes: dict[str, Any]) -> S:
    """The sandbox of a machine that was made."""
    _put_plain(box, notes)
    box.policy = linux.kernel.policy or _no_policy()
    box.linux = linux
    box._driver = Driver(linux)
    box._files = None
    box.commands = {}
    for pid, note in notes["commands"].items():
        spawned = box.commands[pid] = Spawned(
            box._driver, linux.process(pid), note["args"], box.limits, None, box.policy, eager=note["eager"]
        )
        spawned.go_on(linux.process(pid), note)
    return box


def restore(box: Sandbox, snap: MachineSnapshot) -> None:
    """See `Sandbox.restore`. By the machine's thread."""
    linux, driver = box.linux, box._driver
    linux.restore(snap)
    box.files.begin_anew()
    notes = linux.notes["sandbox"]
    _put_plain(box, notes)
    before, box.commands = box.commands, {}
    for pid, note in notes["commands"].items():
        process = linux.process(pid)
        spawned = before.pop(pid, None)
        if spawned is None:
            spawned = Spawned(driver, process, note["args"], box.limits, None, box.policy, eager=note["eager"])
        spawned.go_on(process, note)
        box.commands[pid] = spawned
    for spawned in before.values():
        spawned.undo()


def _put_plain(box: Sandbox, notes: dict[str, Any]) -> None:
    for name in _PLAIN:
        setattr(box, name, notes[name])
    box.limits = Limits(**notes["limits"])


def _no_policy() -> Any:
    from ..linux.policy.policy import Policy

    return Policy()
