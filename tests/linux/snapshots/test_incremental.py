"""What changed since another snapshot, in a file of its own that is loaded with the other's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from axptr.errors import SnapshotError
from axptr.linux import PIPE, Linux, MachineSnapshot
from snapfiles import description, resealed

from .test_branch import ask

PROMPT = """
import sys
big = bytearray(b"x" * (2 << 20))
print("ready", flush=True)
for line in sys.stdin:
    exec(line)
    sys.stdout.flush()
"""
LOOK = b"print(sum(big[::4096]), big[:8], open('/tmp/axptr-kept').read())\n"
ELSEWHERE = """
import sys
from axptr.linux import Linux, MachineSnapshot

snap = MachineSnapshot.load(sys.argv[1], base=sys.argv[2:])
with Linux.from_snapshot(snap) as machine:
    process = machine.process()
    process.stdin.feed(sys.stdin.buffer.read(), last=True)
    assert process.wait().exit_code == 0
    sys.stdout.buffer.write(process.stdout.take())
"""


def elsewhere(*paths) -> bytes:
    done = subprocess.run([sys.executable, "-c", ELSEWHERE, *paths], input=LOOK, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def changed(machine: Linux, number: int) -> bytes:
    """Change a few pages and a file; what a look at them tells."""
    ask(
        machine,
        b"for i in range(0, %d, 4096): big[i:i+8] = b'round %%02d' %% %d\n" % (4096 * 9, number) + b"print(1)\n",
    )
    ask(machine, b"print(open('/tmp/axptr-kept', 'w').write('kept %d'))\n" % number)
    return ask(machine, LOOK)


@pytest.fixture(scope="module", params=["native", "unicorn"])
def chain(request, tmp_path_factory):
    """A machine saved whole and three times since the last, what it tells each time, and its snapshots."""
    home = tmp_path_factory.mktemp("chain")
    told, snaps = [], []
    with Linux(engine=request.param, overlay=True, env={"PATH": "/usr/bin:/bin"}) as machine:
        machine.spawn(["python3", "-S", "-c", PROMPT], stdin=PIPE, stdout=PIPE, stderr=2)
        assert ask(machine) == b"ready\n"
        for number in range(4):
            told.append(changed(machine, number))
            snaps.append(machine.snapshot())
            snaps[-1].save(home / str(number), since=snaps[-2] if number else None)
            if number > 1:
                snaps[-3] = None  # its frames are used for something else from here on
        yield [home / str(number) for number in range(4)], told, snaps


def test_each_goes_on_elsewhere_with_those_that_it_builds_on(chain):
    paths, told, _ = chain
    assert len(set(told)) == 4
    for number in range(4):
        assert elsewhere(paths[number], *paths[:number]) == told[number]


def test_it_has_what_changed_and_no_more(chain):
    paths, _, _ = chain
    whole = os.path.getsize(paths[0])
    assert whole > 2 << 20
    assert all(os.path.getsize(path) < whole // 3 for path in paths[1:])


def test_what_was_loaded_is_built_upon(chain, tmp_path):
    paths, told, _ = chain
    snap = MachineSnapshot.load(paths[2], base=paths[:2])
    with Linux.from_snapshot(snap) as machine:
        assert ask(machine, LOOK) == told[2]
        expected = changed(machine, 7)
        machine.snapshot().save(tmp_path / "more", since=snap)
    assert os.path.getsize(tmp_path / "more") < os.path.getsize(paths[0]) // 3
    assert elsewhere(tmp_path / "more", *paths[:3]) == expected


@pytest.mark.parametrize("bases", [[], [1], [0, 1], [2], [3]])
def test_another_base_is_refused(chain, bases):
    paths, _, _ = chain
    with pytest.raises(SnapshotError, match="base"):
        MachineSnapshot.load(paths[1], base=[paths[number] for number in bases])


def test_order_counts(chain):
    paths, _, _ = chain
    with pytest.raises(SnapshotError, match="number 1"):
        MachineSnapshot.load(paths[2], base=[paths[1], paths[0]])


def test_a_whole_one_has_no_base(chain):
    paths, _, _ = chain
    with pytest.raises(SnapshotError, match="whole"):
        MachineSnapshot.load(paths[0], base=paths[1])


def test_a_base_that_was_changed_is_refused(chain, tmp_path):
    paths, _, _ = chain
    whole = paths[0].read_bytes()
    copy = tmp_path / "base"
    for verify in (True, False):
        copy.write_bytes(whole)
        MachineSnapshot.load(paths[1], base=copy, verify=verify)
        meta = description(whole)
        copy.write_bytes(resealed(whole, meta[:-40] + bytes([meta[-40] ^ 1]) + meta[-39:]))  # made anew, and right
        with pytest.raises(SnapshotError, match="another file"):
            MachineSnapshot.load(paths[1], base=copy, verify=verify)
    copy.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(SnapshotError, match="checksum of its pages"):
        MachineSnapshot.load(paths[1], base=copy)
    copy.write_bytes(whole[:-4096])
    with pytest.raises(SnapshotError, match="damaged"):
        MachineSnapshot.load(paths[1], base=copy, verify=False)


def test_there_is_a_file_to_build_on(chain, tmp_path):
    _, _, snaps = chain
    with Linux(overlay=True, env={"PATH": "/usr/bin:/bin"}) as machine:
        machine.spawn(["sh", "-c", "echo ready; read -r line"], stdin=PIPE, stdout=PIPE, stderr=2)
        ask(machine)
        never, later = machine.snapshot(), machine.snapshot()
        with pytest.raises(SnapshotError, match="neither saved nor loaded"):
            later.save(tmp_path / "later", since=never)
        with pytest.raises(SnapshotError, match="another memory"):
            later.save(tmp_path / "later", since=snaps[-1])
        never.save(tmp_path / "first")
        with pytest.raises(SnapshotError, match="another name"):
            later.save(tmp_path / "first", since=never)
        assert sorted(os.listdir(tmp_path)) == ["first"]
