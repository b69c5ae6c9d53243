"""Runs whose root is no directory of the host's: a tree in memory, and a tree of Python's, with programs in it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from axptr.linux import HostDir, Tmpfs, TreeStat

from ..conftest import Outcome, run_guest, run_host

SYSTEM = {
    place: HostDir(place, readonly=True) for place in ("/usr", "/bin", "/lib", "/lib64", "/etc") if os.path.isdir(place)
}


def in_memory(script: str, **options: object) -> Outcome:
    return run_guest("/bin/sh", "-c", script, root=Tmpfs(0o755), mounts=SYSTEM, **options)


def test_a_root_in_memory_begins_empty_and_takes_everything() -> None:
    found = in_memory("ls /; echo text > /file; mkdir -p /a/b; mv /file /a/b; cat /a/b/file; pwd; stat -f -c %T /")
    assert found.status == 0
    assert [name for name in found.lines if name in ("usr", "etc", "dev", "proc")] == ["dev", "etc", "proc", "usr"]
    assert found.lines[-3:] == ["text", "/", "tmpfs"]


SCRIPT = """
set -e
mkdir -p work/src && cd work
seq 1 2000 > src/numbers; sed -n 5,7p src/numbers; sed -i s/^7$/seven/ src/numbers; grep -n seven src/numbers
tar czf all.tar.gz src; mkdir out; tar xzf all.tar.gz -C out; cmp src/numbers out/src/numbers && echo same
find . -type f | sort; ln -s src/numbers link; readlink link; wc -l < link; sort -rn src/numbers | head -2
python3 - <<'END'
import mmap, os, sqlite3, tempfile
with open("mapped", "w+b") as file:
    file.truncate(8192)
    with mmap.mmap(file.fileno(), 8192) as view:
        view[4096:4101] = b"hello"
    file.seek(4096)
    print(file.read(5))
base = sqlite3.connect("base.db")
base.execute("create table t (x)"); base.executemany("insert into t values (?)", [(n,) for n in range(100)])
base.commit(); print(base.execute("select sum(x) from t").fetchone())
with tempfile.TemporaryDirectory(dir=".") as place:
    os.mkfifo(os.path.join(place, "fifo")); print(sorted(os.listdir(place)))
END
if command -v git > /dev/null; then
  export HOME=$PWD GIT_CONFIG_NOSYSTEM=1
  git init -q -b main repo; cd repo; cp ../src/numbers .; git add .
  git -c user.name=a -c user.email=a@b commit -qm first; git log --format=%s; git status --short; cd ..
fi
cp /bin/true run; chmod 755 run; ./run && echo ran; rm -rf src out; ls
"""


def test_ordinary_programs_do_in_a_root_in_memory_what_they_do_on_the_host(tmp_path: Path) -> None:
    host, ours = run_host("/bin/sh", "-c", SCRIPT, cwd=tmp_path), in_memory(SCRIPT)
    assert ours.lines == host.lines
    assert (ours.status, ours.stderr) == (host.status, host.stderr) == (0, b"")
    assert len(host.lines) > 15


class Copied:
    """A tree of Python's that has a directory's files."""

    def __init__(self, top: Path) -> None:
        self.top = top

    def list(self, path: str) -> list[str]:
        return os.listdir(self.top / path)

    def stat(self, path: str) -> TreeStat:
        status = os.lstat(self.top / path)
        target = os.readlink(self.top / path) if stat.S_ISLNK(status.st_mode) else ""
        return TreeStat(status.st_mode, status.st_size, status.st_mtime, target, status.st_uid, status.st_gid)

    def read(self, path: str, offset: int, size: int) -> bytes:
        with open(self.top / path, "rb") as file:
            file.seek(offset)
            return file.read(size)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A root with a static shell in it, and links for its programs."""
    box = shutil.which("busybox")
    if box is None or b"statically" not in subprocess.run(["file", box], capture_output=True).stdout:
        pytest.skip("needs busybox-static")
    top = tmp_path / "top"
    for place in ("bin", "etc", "tmp", "home"):
        (top / place).mkdir(parents=True)
    shutil.copy(box, top / "bin" / "busybox")
    for name in ("sh", "ls", "cat", "sed", "grep", "sort", "wc", "seq", "find", "rm", "mkdir", "cp", "tar", "id"):
        (top / "bin" / name).symlink_to("busybox")
    (top / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\nann:x:77:78::/home:/bin/sh\n")
    (top / "etc" / "secret").write_text("nobody's")
    (top / "etc" / "secret").chmod(0o600)
    return top


def test_a_root_of_pythons_runs_programs_and_is_read_only(small: Path) -> None:
    found = run_guest(
        "/bin/sh",
        "-c",
        "ls /; cat /etc/passwd | grep root | wc -l; seq 1 5 | sort -r | sed -n 2p; echo x > /tmp/x; ls /dev/null",
        root=Copied(small),
    )
    assert found.lines == ["bin", "dev", "etc", "home", "proc", "sys", "tmp", "1", "4", "/dev/null"]
    assert b"Read-only file system" in found.stderr


def test_over_a_root_of_pythons_an_overlay_takes_what_is_written(small: Path) -> None:
    script = (
        "cd /tmp; seq 1 100 > a; cp a b; tar cf all.tar a b; rm a b; tar xf all.tar; wc -l < b; "
        "sed -i s/root/ROOT/ /etc/passwd; cat /etc/passwd; rm /etc/secret; find / -xdev -name 's*' | sort"
    )
    found = run_guest("/bin/sh", "-c", script, root=Copied(small), overlay=True)
    assert found.lines == [
        "100",
        "ROOT:x:0:0::/:/bin/sh",
        "ann:x:77:78::/home:/bin/sh",
        "/bin/sed",
        "/bin/seq",
        "/bin/sh",
        "/bin/sort",
        "/sys",
    ]
    assert (small / "etc" / "secret").read_text() == "nobody's"


def test_a_user_of_a_root_of_pythons_may_do_what_the_tree_says(small: Path) -> None:
    found = run_guest(
        "/bin/sh", "-c", "id -u; id -g; cat /etc/secret; cat /etc/passwd | wc -l", root=Copied(small), user="ann"
    )
    assert found.lines == ["77", "78", "2"]
    assert b"Permission denied" in found.stderr
