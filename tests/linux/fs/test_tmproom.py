"""What a mounted tmpfs may hold. Nobody mounts anything on the host for a test; expected is what Linux
gave the same program in a name space of mounts of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..conftest import run_guest

EXPECTED = """\
size=64k,nr_inodes=8: 0
new: 16 of 16 pages, 7 of 8 inodes
 - tmpfs none rw,size=64k,nr_inodes=8
size=65k: 0
new: 17 of 17 pages
 - tmpfs none rw,size=68k
nr_blocks=5,nr_inodes=3: 0
new: 5 of 5 pages, 2 of 3 inodes
 - tmpfs none rw,size=20k,nr_inodes=3
size=0: 0
 - tmpfs none rw,size=0k
size=1m,mode=700: 0
 - tmpfs none rw,size=1024k,mode=700
size=4k,nr_inodes=0: 0
 - tmpfs none rw,size=4k,nr_inodes=0
size=64k,uid=5,gid=6: 0
 - tmpfs none rw,size=64k,uid=5,gid=6
size=1x: -1 Invalid argument
nr_inodes=50%: -1 Invalid argument
write: 65536
write: -1 No space left on device
full: 0 of 16 pages, 6 of 8 inodes
over: 100
beyond: -1 No space left on device
cut: 13 of 16 pages, 6 of 8 inodes
write: 55536
65536 bytes, 128 blocks
empty: 16 of 16 pages, 6 of 8 inodes
fallocate: 0
fallocate: -1 No space left on device
allocated: 0 of 16 pages, 6 of 8 inodes
fallocate: -1 No space left on device
fallocate: -1 No space left on device
empty: 16 of 16 pages, 6 of 8 inodes
sparse: 16 of 16 pages, 6 of 8 inodes
into a hole: 1
one: 15 of 16 pages, 6 of 8 inodes
m/f0: 0
m/f1: 0
m/f2: 0
m/f3: 0
m/f4: 0
m/f5: 0
m/f6: -1 No space left on device
m/f7: -1 No space left on device
m/f8: -1 No space left on device
names: 15 of 16 pages, 0 of 8 inodes
mkdir: -1 No space left on device
link: -1 No space left on device
symlink: -1 No space left on device
nameless: -1 No space left on device
one less: 15 of 16 pages, 1 of 8 inodes
link: 0
linked: 15 of 16 pages, 0 of 8 inodes
mkdir: -1 No space left on device
mkdir: 0
made: 15 of 16 pages, 0 of 8 inodes
fill: 61440
no name: 0 of 16 pages, 0 of 8 inodes
closed: 15 of 16 pages, 1 of 8 inodes
size=4k: 0
size=128k: 0
larger: 31 of 32 pages, 13 of 20 inodes
 - tmpfs none rw,size=128k,nr_inodes=20
nr_inodes=2: -1 Invalid argument
size=x: -1 Invalid argument
nothing: 0
as before: 31 of 32 pages, 13 of 20 inodes
size=0: 0
no end: 0 of 0 pages, 13 of 20 inodes
size=64k: -1 Invalid argument
rename: 0
renamed: 0 of 0 pages, 14 of 20 inodes
gone: 0 of 0 pages, 15 of 20 inodes
"""


def test_a_tmpfs_holds_what_its_options_allow_and_no_more(compile_guest: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run_guest(compile_guest("tmpsize"), cwd=tmp_path, user="0:0", allow_write=[tmp_path])
    assert outcome.lines == EXPECTED.splitlines()
    assert outcome.status == 0
