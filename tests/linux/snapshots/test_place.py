"""What a restore and a load leave as it is: objects in their places, shared descriptors, pages in their file."""

from __future__ import annotations

import gc
import os

import pytest

import engines
from axptr.errors import SnapshotError
from axptr.linux import PIPE, Linux
from axptr.linux.snapshots.snapshot import MachineSnapshot

from .test_branch import ask, linux  # noqa: F401


def _descriptors() -> int:
    gc.collect()  # what other tests left
    return len(os.listdir("/proc/self/fd"))


def test_a_restore_keeps_the_objects_that_stand_where_they_stood(linux):  # noqa: F811
    snap = linux.snapshot()
    task, files = linux.process().task, linux.process().task.files
    for _ in range(3):
        assert ask(linux, b"exec 7< /etc/passwd; umask 077; cd /; echo done\n") == b"done\n"
        linux.restore(snap)
        assert linux.process().task is task
        assert task.files is files
        assert 7 not in files.descriptors()
        files._check()


def test_a_restore_opens_what_was_closed_and_closes_what_was_opened(linux, tmp_path):  # noqa: F811
    (tmp_path / "text").write_text("one\ntwo\nthree\n")
    (tmp_path / "other").write_text("other\n")
    ask(linux, b"exec 5< %s/text; read -r x <&5; echo $x\n" % os.fsencode(tmp_path))
    snap = linux.snapshot()
    for change in (b"", b"read -r x <&5;", b"exec 5<&-;", b"exec 5< %s/other;" % os.fsencode(tmp_path)):
        before = _descriptors()
        assert ask(linux, change + b" echo done\n") == b"done\n"
        linux.restore(snap)
        assert ask(linux, b"read -r x <&5; echo $x\n") == b"two\n"
        linux.restore(snap)
        assert _descriptors() - before <= 1


def test_copies_hold_no_place_of_the_host_each(linux):  # noqa: F811
    snap = linux.snapshot()
    before = _descriptors()
    copies = [Linux.from_snapshot(snap) for _ in range(20)]
    assert _descriptors() - before <= 20
    for copy in copies:
        assert ask(copy, b"cd /usr; [ -d bin ] && echo there\n") == b"there\n"
        copy.close()
    assert ask(linux, b"cd /usr; [ -d bin ] && echo there\n") == b"there\n"


@pytest.mark.parametrize("verify", [True, False])
def test_a_machine_goes_on_from_pages_that_are_in_the_file(linux, tmp_path, verify):  # noqa: F811
    ask(linux, b"value=$(cat /etc/passwd | head -c 300); echo done\n")
    wanted = ask(linux, b'echo "$value"\n')
    path = tmp_path / "machine"
    linux.snapshot().save(path)
    snap = MachineSnapshot.load(path, verify=verify)
    path.unlink()
    for _ in range(2):
        with Linux.from_snapshot(snap) as copy:
            assert ask(copy, b'echo "$value"; value=mine\n') == wanted
            here = copy.snapshot()
            assert ask(copy, b"echo $value; value=\n") == b"mine\n"
            copy.restore(here)
            assert ask(copy, b"echo $value\n") == b"mine\n"


def test_damage_to_pages_is_told_where_they_are_verified(linux, tmp_path):  # noqa: F811
    path = tmp_path / "machine"
    linux.snapshot().save(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size - 1)
        last = file.read(1)
        file.seek(size - 1)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(SnapshotError, match="checksum of its pages"):
        MachineSnapshot.load(path)
    MachineSnapshot.load(path, verify=False)


PYTHON = """
import sys
print("ready", flush=True)
for line in sys.stdin:
    exec(line)
    sys.stdout.flush()
"""


@pytest.mark.skipif(engines.missing("native") is not None, reason="needs the native engine")
@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_many_branches_at_once_share_what_they_do_not_change(count):
    with Linux(engine="native", overlay=True, env={"PATH": "/usr/bin:/bin"}) as origin:
        origin.spawn(["python3", "-S", "-c", PYTHON], stdin=PIPE, stdout=PIPE, stderr=2)
        assert ask(origin) == b"ready\n"
        snap, before = origin.snapshot(), _descriptors()
        frames = origin.phys.data_frames
        copies = [Linux.from_snapshot(snap) for _ in range(count)]
        assert _descriptors() - before <= 20
        for number, copy in enumerate(copies):
            assert ask(copy, b"x = %d; print(x * 7)\n" % number) == b"%d\n" % (7 * number)
        assert origin.phys.data_frames < frames + count * frames / 4
        assert _descriptors() - before <= 2 * count + 20
        for number, copy in enumerate(copies):
            assert ask(copy, b"print(x)\n") == b"%d\n" % number
            copy.close()
        assert ask(origin, b"print('x' in dir())\n") == b"False\n"
        assert _descriptors() - before <= 20
