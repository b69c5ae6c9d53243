"""Every call by its number, served or not: what it gives to harmless words is what the host gives to a process with the
rights of a container's root, but for those of a table, each with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from axptr.linux.abi.numbers import NAMES, name_of

from .conftest import run_guest, run_host

_MODULES = "whether it has loadable modules is the host's kernel's own affair; here there are none to load"
_PORTS = "whether it knows of the CPU's ports is the host's kernel's own affair"
_MOUNTS = "there is one name space of mounts, of which /proc/self/mountinfo tells"
_LATER = "came with Linux 6.17; programs do without"
_LANDLOCK = "is as where landlock was not enabled"
_KEYS = "is as on a CPU without protection keys"
DIFFERS = {
    "pkey_alloc": _KEYS,
    "pkey_free": _KEYS,
    "syscall_335": "is for probes of the kernel's own; nobody else makes it (the host: SIGILL)",
    "modify_ldt": "programs of 64 bits have no segments of their own",
    "iopl": _PORTS,
    "ioperm": _PORTS,
    "init_module": _MODULES,
    "finit_module": _MODULES,
    "delete_module": _MODULES,
    "fanotify_init": "nobody may watch a whole mount, nor what it can see of one without the right",
    "io_uring_setup": "is as with kernel.io_uring_disabled",
    "landlock_create_ruleset": _LANDLOCK,
    "landlock_add_rule": _LANDLOCK,
    "landlock_restrict_self": _LANDLOCK,
    "memfd_secret": "is as with secretmem.enable=0",
    "statmount": _MOUNTS,
    "listmount": _MOUNTS,
    "open_tree_attr": _LATER,
    "file_getattr": _LATER,
    "file_setattr": _LATER,
}
"""What gives something else than on the host, and why. Whether one does at all depends on the host's kernel."""


def test_every_number_gives_what_it_gives_on_the_host(compile_guest: Callable[..., Path], tmp_path: Path) -> None:
    program = compile_guest("everycall")
    here, there = tmp_path / "ours", tmp_path / "host"
    here.mkdir()
    there.mkdir()
    host, ours = run_host(program, cwd=there), run_guest(program, cwd=here, allow_write=[here], timeout=120)
    assert (host.status, ours.status) == (0, 0)
    assert len(host.lines) == len(ours.lines) > 1700
    different = {}
    for wanted, got in zip(host.lines, ours.lines, strict=True):
        if wanted != got and (name := name_of(int(wanted.split()[0]))) not in DIFFERS:
            different.setdefault(name, []).append((wanted, got))
    assert not different
    assert DIFFERS.keys() <= {*NAMES.values(), "syscall_335"}
