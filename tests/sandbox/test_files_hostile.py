"""What a program can prepare for whoever looks at its files from outside, and what the host's side makes of it."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_IFDIR, S_IFREG

import pytest

from axptr import Sandbox
from axptr.linux import HostDir, Policy, TreeStat
from axptr.linux.policy import Rules
from axptr.linux.policy.audit import Audit
from axptr.sandbox import AsyncSandbox, Limits

Make = Callable[..., Sandbox]


def python(box: Sandbox, program: str) -> str:
    return box.run(["python3", "-c", program], check=True).text


# -- sizes


def test_a_sparse_file_is_read_and_downloaded_as_far_as_the_limit(box: Sandbox, tmp_path: Path) -> None:
    box.run("mkdir d; truncate -s 1T d/big; truncate -s 3M d/small; printf end >> d/small", check=True)
    with pytest.raises(OSError, match=r"more than 268,435,456 bytes.*/root/d/big") as caught:
        box.files.read("d/big")
    assert caught.value.errno == errno.EFBIG
    with pytest.raises(OSError, match="more than 1,000 bytes"):
        box.files.read("d/small", limit=1000)
    size = (3 << 20) + 3
    assert box.files.read("d/small", limit=size) == bytes(3 << 20) + b"end"
    with pytest.raises(OSError, match=f"more than {size - 1:,}"):
        box.files.read("d/small", limit=size - 1)
    with pytest.raises(OSError, match=r"more than 1,073,741,824 bytes.*limit"):
        box.files.download("d", tmp_path / "d")
    box.files.remove("d/big")
    box.files.download("d", tmp_path / "e", limit=size + 4096)
    copied = tmp_path / "e" / "small"
    assert copied.stat().st_size == size
    assert copied.stat().st_blocks * 512 <= 1 << 20  # holes are holes
    assert copied.read_bytes().rstrip(b"\0") == bytes(3 << 20) + b"end"
    with pytest.raises(OSError, match="more than"):
        box.files.download("d", tmp_path / "f", limit=size + 4095)


def test_what_tells_no_size_is_bounded_too(make: Make) -> None:
    class Endless:
        def list(self, path: str) -> list[str]:
            return ["zeros"]

        def stat(self, path: str) -> TreeStat:
            return TreeStat(S_IFREG | 0o444) if path else TreeStat(S_IFDIR | 0o555)

        def read(self, path: str, offset: int, size: int) -> bytes:
            return bytes(size)

    box = make(mounts={"/data": Endless()})
    with pytest.raises(OSError, match="more than 5,000,000 bytes"):
        box.files.read("/data/zeros", limit=5_000_000)


def test_hard_links_count_each(box: Sandbox, tmp_path: Path) -> None:
    box.run("mkdir d; head -c 1000000 /dev/zero > d/0; for i in $(seq 50); do ln d/0 d/$i; done", check=True)
    with pytest.raises(OSError, match="more than 20,000,000"):
        box.files.download("d", tmp_path / "d", limit=20_000_000)
    assert sum(path.stat().st_size for path in (tmp_path / "d").iterdir()) <= 20_000_000


def test_a_file_that_is_sparse_is_saved_as_what_it_has(box: Sandbox, tmp_path: Path) -> None:
    box.run("truncate -s 1T big; echo x >> big", check=True)
    box.snapshot().save(tmp_path / "snapshot")
    assert (tmp_path / "snapshot").stat().st_size < 64 << 20


# -- depth and number


@pytest.fixture
def deep_path(tmp_path: Path) -> Iterator[Path]:
    """A directory whose contents may be too deep for who removes old directories of tests."""
    yield tmp_path
    subprocess.run(["rm", "-rf", tmp_path], check=True)


def test_a_tree_of_any_depth_is_listed_copied_as_far_as_a_path_leads_and_removed(box: Sandbox, deep_path: Path) -> None:
    python(box, "import os\nfor i in range(20000): os.mkdir('d'); os.chdir('d')")
    changes = box.changes()
    assert {change.path for change in changes if len(change.path) < 20} >= {"/root/d", "/root/d/d"}
    assert 2000 < len(changes) < 2100
    with pytest.raises(OSError, match="too long"):
        box.files.download("d", deep_path / "d")
    snapshot = box.snapshot()
    snapshot.save(deep_path / "snapshot")
    with Sandbox.from_snapshot(snapshot) as other:
        assert other.files.exists("d/d/d")
    box.files.remove("d", recursive=True)
    assert box.changes() == []


def test_a_deep_tree_of_the_host_is_uploaded(make: Make, deep_path: Path) -> None:
    (deep_path / "top").mkdir()
    fd = os.open(deep_path / "top", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    box = make()
    box.files.upload(deep_path / "top", "up")
    assert len([change for change in box.changes() if change.path.startswith("/root/up/d")]) == 1500


def test_a_deep_tree_on_a_mount_is_removed_without_descriptors(make: Make, deep_path: Path) -> None:
    box = make(mounts={"/m": deep_path})
    python(box, "import os\nos.chdir('/m')\nfor i in range(1400): os.mkdir('d'); os.chdir('d')")
    box.files.remove("/m/d", recursive=True)
    assert os.listdir(deep_path) == []


def test_changes_have_a_bound(box: Sandbox) -> None:
    python(box, "for i in range(3000): open('x' * 200 + str(i), 'w')")
    overlay = box.linux.overlay
    assert overlay is not None
    with pytest.raises(OSError, match="more than 500,000 bytes"):
        overlay.changes(limit=500_000)
    assert len(overlay.changes(limit=None)) == 3000


def test_what_is_mounted_stays_when_all_around_it_is_removed(make: Make, tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    box = make(mounts={"/root/a/b/m": tmp_path})
    with pytest.raises(OSError, match="busy"):
        box.files.remove("/root/a", recursive=True)
    assert (tmp_path / "precious").exists()


# -- kinds, names, modes


def test_no_device_no_pipe_and_no_socket_makes_anybody_wait(box: Sandbox, tmp_path: Path) -> None:
    box.run(
        "mkdir d; cd d; mkfifo pipe; mknod null c 1 3; mknod disk b 8 0; mknod tty c 5 0; ln -s /dev/zero zero; "
        "ln -s pipe l; python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('socket')\"; echo x > file"
    )
    assert {"pipe", "zero", "l", "socket", "file"} <= {entry.name for entry in box.files.list("d")}
    for entry in box.files.list("d"):
        if entry.name != "file":
            with pytest.raises(OSError, match="Invalid"):
                box.files.read(f"d/{entry.name}")
            with pytest.raises(OSError, match="Invalid"):
                box.files.write(f"d/{entry.name}", "x")
            with pytest.raises(OSError, match="no file or directory"):
                box.files.download(f"d/{entry.name}", tmp_path / "one")
    assert os.listdir(tmp_path) == []
    box.files.download("d", tmp_path / "d")
    assert os.listdir(tmp_path / "d") == ["file"]


def test_of_the_host_files_directories_and_links_are_uploaded_and_nothing_waits(box: Sandbox, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    os.mkfifo(source / "pipe")
    (source / "file").write_text("x")
    (source / "file").chmod(0o6755)
    (source / "away").symlink_to("/etc/shadow")
    box.files.upload(source, "up")
    assert [(e.name, e.kind) for e in box.files.list("up")] == [("away", "link"), ("file", "file")]
    assert box.files.stat("up/file").mode == 0o755  # no program becomes another user by it
    with pytest.raises(OSError, match="no file, directory or link"):
        box.files.upload(source / "pipe", "pipe")


def test_bits_that_make_others_of_users_do_not_come_over(box: Sandbox, tmp_path: Path) -> None:
    box.run("mkdir d; echo x > d/s; chmod 7777 d/s; chmod 7777 d", check=True)
    box.files.download("d", tmp_path / "d")
    box.files.download("d/s", tmp_path / "s")
    for path in (tmp_path / "d", tmp_path / "d" / "s", tmp_path / "s"):
        assert not stat.S_IMODE(path.lstat().st_mode) & (stat.S_ISUID | stat.S_ISGID)


def test_every_name_of_a_program_is_one_name_on_the_host(box: Sandbox, tmp_path: Path) -> None:
    names = [b"\n", b"\xff\xfe", b"...", b"-rf", b" ", b"\x1b[2J", b"a" * 255, "é".encode(), b"\\..\\x"]
    python(box, f"import os\nos.mkdir('d')\nfor n in {names!r}: open(b'd/' + n, 'wb').write(n)")
    box.files.download("d", tmp_path / "d")
    assert sorted(os.listdir(os.fsencode(tmp_path / "d"))) == sorted(names)
    for name in names:
        assert (tmp_path / "d" / os.fsdecode(name)).read_bytes() == name
        assert box.files.read(f"d/{os.fsdecode(name)}") == name
    box.files.upload(tmp_path / "d", "e")
    assert python(box, "import os; print(sorted(os.listdir(b'e')))") == f"{sorted(names)!r}\n"


def test_a_name_that_ends_with_a_dot_is_one(box: Sandbox) -> None:
    script = "mkdir d; for n in ... a. .b.; do echo $n > d/$n; cat d/$n; done; cat d/a./. d/.../; ls d/. d/"
    result = box.run(f"{{ {script}; }} 2>&1")
    failed = "cat: d/a./.: Not a directory\ncat: d/.../: Not a directory\n"
    assert result.text == f"...\na.\n.b.\n{failed}" + "d/:\na.\n\nd/.:\na.\n"


def test_a_tree_whose_names_lead_elsewhere_leads_nowhere(make: Make, tmp_path: Path) -> None:
    class Evil:
        def list(self, path: str) -> list[str]:
            return ["../../out", "..", ".", "", "a/b", "/etc", "fine", "n\0ul"]

        def stat(self, path: str) -> TreeStat:
            return TreeStat(S_IFREG | 0o444, 4) if path else TreeStat(S_IFDIR | 0o555)

        def read(self, path: str, offset: int, size: int) -> bytes:
            return b"evil"[offset : offset + size]

    box = make(mounts={"/data": Evil()})
    assert [entry.name for entry in box.files.list("/data")] == ["fine"]
    assert box.run("ls -A /data").text == "fine\n"
    goal = tmp_path / "a" / "b" / "goal"
    box.files.download("/data", goal)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [goal / "fine"]


# -- links and races


def test_no_link_of_the_host_is_followed_by_a_download(box: Sandbox, tmp_path: Path) -> None:
    box.run("mkdir -p d/sub; echo mine > d/sub/file; echo mine > d/file", check=True)
    outside, goal = tmp_path / "outside", tmp_path / "goal"
    outside.mkdir()
    goal.symlink_to(outside)
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        box.files.download("d", goal)
    goal.unlink()
    goal.mkdir()
    (goal / "sub").symlink_to(outside)
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        box.files.download("d", goal)
    (goal / "sub").unlink()
    (goal / "file").unlink(missing_ok=True)
    (goal / "file").symlink_to(outside / "made")
    with pytest.raises(FileExistsError):
        box.files.download("d", goal)
    assert list(outside.iterdir()) == []


@contextmanager
def forgiving(*numbers: int) -> Iterator[None]:
    """What may be said where a tree changes meanwhile."""
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise


SWAPPER = """
import os, itertools
os.chdir('/shared')
print('ready', flush=True)
for n in itertools.count():
    try:
        os.rename('tree/sub', 'tree/aside')
        os.symlink('OUTSIDE', 'tree/sub')
        os.unlink('tree/sub')
        os.rename('tree/aside', 'tree/sub')
    except OSError:
        pass
    if os.path.exists('/tmp/stop'):
        break
"""


@pytest.fixture
def swapping(make: Make, tmp_path: Path) -> Iterator[tuple[Sandbox, Path, Path]]:
    """A directory of the host that a program has as /shared, in which it makes a directory a link and back all the
    time; and one beside it that it has not."""
    shared, outside = tmp_path / "shared", tmp_path / "outside"
    shared.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("of the host")
    (shared / "tree" / "sub").mkdir(parents=True)
    for number in range(20):
        (shared / "tree" / "sub" / str(number)).write_text("inside")
    box = make(mounts={"/shared": shared}, limits=Limits(time=500, cpu=500))
    with box.spawn(["python3", "-c", SWAPPER.replace("OUTSIDE", str(outside))]) as swapper:
        assert swapper.stdout is not None
        assert swapper.stdout.readline() == b"ready\n"
        yield box, shared, outside
        box.files.write("/tmp/stop", "")
        swapper.wait(200)


def test_what_a_program_swaps_for_a_link_is_not_followed_by_an_upload(swapping: tuple[Sandbox, Path, Path]) -> None:
    box, shared, _ = swapping
    for number in range(30):
        with forgiving(errno.ESTALE, errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            box.files.upload(shared / "tree", f"/tmp/up{number}")
    assert box.run("cat /tmp/up*/sub/secret /tmp/up*/aside/secret; true").text == ""


def test_what_a_program_swaps_for_a_link_is_not_written_through_by_a_download(
    swapping: tuple[Sandbox, Path, Path],
) -> None:
    box, shared, outside = swapping
    box.run("mkdir -p /tmp/d/sub; for i in $(seq 30); do echo x > /tmp/d/sub/n$i; done", check=True)
    for _ in range(30):
        with forgiving(errno.ESTALE, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EEXIST):
            box.files.download("/tmp/d", shared / "tree")
    assert os.listdir(outside) == ["secret"]


CHANGING = """
import os, itertools, random, sys
os.makedirs('t', exist_ok=True)
print('ready', flush=True)
for n in itertools.count():
    name = f't/{random.randrange(20)}'
    try:
        random.choice([
            lambda: os.mkdir(name), lambda: os.rmdir(name), lambda: open(name, 'w').write('x' * n),
            lambda: os.unlink(name),
            lambda: os.symlink('/etc/passwd', name), lambda: os.symlink(name, name), lambda: os.mkfifo(name),
            lambda: os.rename(name, f't/{random.randrange(20)}'), lambda: open(name + '/below', 'w').write('y'),
            lambda: os.rename('t', 'u') or os.rename('u', 't'), lambda: os.truncate(name, 1 << 40),
        ])()
    except OSError:
        pass
"""


def test_a_tree_that_changes_all_the_time_is_listed_copied_and_removed(make: Make, tmp_path: Path) -> None:
    box = make(limits=Limits(time=500, cpu=500))
    done = 0
    with box.spawn(["python3", "-c", CHANGING]) as changing:
        assert changing.stdout is not None
        assert changing.stdout.readline() == b"ready\n"

        def look() -> None:
            nonlocal done
            for number in range(15):
                for attempt in (
                    lambda: [box.files.stat(f"t/{entry.name}") for entry in box.files.list("t")],
                    lambda: [box.files.read(f"t/{entry.name}", limit=1 << 20) for entry in box.files.list("t")],
                    lambda number=number: box.files.download(
                        "t", tmp_path / f"{threading.get_ident()}-{number}", limit=1 << 20
                    ),
                    lambda: box.files.write(f"t/{os.urandom(1)[0] % 20}/x", "z"),
                    lambda: box.files.upload(tmp_path, "t/3"),
                    lambda: box.files.remove(f"t/{os.urandom(1)[0] % 20}", recursive=True),
                    box.changes,
                ):
                    try:
                        attempt()
                    except OSError:
                        pass
                    done += 1

        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert done == 2 * 15 * 7
    for path in tmp_path.rglob("*"):
        assert not path.is_symlink()
        assert path.is_dir() or path.is_file()
        assert "root:" not in (path.read_text() if path.is_file() and path.stat().st_size < 1 << 20 else "")


def test_an_upload_goes_through_no_link_past_a_rule(make: Make, tmp_path: Path) -> None:
    shared, source = tmp_path / "shared", tmp_path / "source"
    shared.mkdir()
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_text("x")
    box = make(mounts={"/shared": shared}, policy=Policy(Rules({"paths": {"readonly": ["/shared"]}})))
    box.run("mkdir up; ln -s /shared up/sub", check=True)
    with pytest.raises(NotADirectoryError):
        box.files.upload(source, "up")
    box.run("rm up/sub; mkdir up/sub; ln -s /shared/file up/sub/file", check=True)
    with pytest.raises(OSError, match="Invalid"):
        box.files.upload(source, "up")
    assert list(shared.iterdir()) == []


# -- /proc and /dev, by who is in no process


def waiting(box: Sandbox) -> Iterator[str]:
    """The programs that wait in a call."""
    for pid in box.processes:
        _, name, rest = re.split(r"[()]", box.files.read_text(f"/proc/{pid}/stat"))
        if rest.split()[0] == "S":
            yield name


def test_every_file_of_proc_and_dev_is_looked_at_from_outside(box: Sandbox) -> None:
    seen = 0
    with box.spawn("exec 7</etc/passwd 8<>/tmp/pipe; sleep 1000 | cat"):
        while sorted(waiting(box)) != ["cat", "sh", "sleep"]:  # what is written to are their libraries, too
            time.sleep(0.01)
        todo = ["/proc", "/dev", "/sys"]
        while todo and seen < 5000:
            here = todo.pop()
            for entry in box.files.list(here):
                path = f"{here}/{entry.name}"
                seen += 1
                for attempt in (
                    lambda path=path: box.files.stat(path),
                    lambda path=path: box.files.read(path, limit=1 << 20),
                    lambda path=path: box.files.write(path, "0"),
                ):
                    try:
                        attempt()
                    except OSError:
                        pass
                if entry.kind == "directory":
                    todo.append(path)
    assert seen > 300
    with pytest.raises(FileNotFoundError):
        box.files.read("/proc/self/status")


# -- policies


def test_what_a_program_calls_a_thing_moves_no_terminal_and_makes_no_line(make: Make) -> None:
    asked: list[str] = []
    rules = Rules({"paths": {"ask": ["/tmp/asked"], "deny": ["/tmp/denied"]}})
    box = make(policy=Policy(rules, ask=lambda question: bool(asked.append(question))))
    name = "\n\x1b[2J\udcff"
    for directory in ("/tmp/asked", "/tmp/denied"):
        box.files.write(f"{directory}/{name}", "")
    result = box.run(["cat", f"/tmp/asked/{name}", f"/tmp/denied/{name}"])
    texts = [*asked, *map(str, result.denied), *map(repr, result.denied)]
    assert len(texts) >= 4
    for text in texts:
        assert text.isprintable()
        text.encode()
    assert {denied.subject for denied in result.denied} == {f"/tmp/asked/{name}", f"/tmp/denied/{name}"}


def test_what_is_kept_and_told_of_a_refused_call_has_a_bound(make: Make) -> None:
    lines: list[str] = []
    policy = Policy(audit=Audit(lines.append))

    @policy.before("execve")
    def refuse(call: object) -> int | None:
        from axptr.linux.policy import Refuse

        return Refuse("EPERM") if policy.denied or b"marked" in call["argv"] else None  # type: ignore[index, return-value]

    box = make(policy=policy)
    program = (
        "import os\ntry: os.execv('/bin/true', ['marked'] + ['x' * 100000] * 15)\nexcept OSError as e: print(e.errno)"
    )
    assert python(box, program) == "1\n"
    assert policy.denied
    assert all(len(denied.subject) <= 4099 for denied in policy.denied)
    assert max(map(len, lines)) < 100_000
    assert any('"execve"' in line and "xxx..." in line for line in lines)


def test_questions_and_learned_places_have_a_bound(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from axptr.linux.policy import learned, policy

    monkeypatch.setattr(policy, "_QUESTIONS", 50)
    monkeypatch.setattr(learned, "_MOST", 100)
    asked: list[str] = []
    rules = Rules({"paths": {"ask": ["/root/made"]}})
    box = make(policy=Policy(rules, ask=lambda question: asked.append(question) is None))
    made = """
import os
import re
os.mkdir('made')
for n in range(200):
    try:
        open(f'made/{n}', 'w')
    except OSError:
        print(n)
        break
"""
    assert 20 <= int(python(box, made)) <= 50
    assert len(asked) == 50
    whole = Policy()
    noted = whole.learn()
    python(make(policy=whole), made)
    assert noted.full
    assert len(noted.rules()["paths"]["allow"]) == 100
    assert "was not noted" in noted.toml()
    assert Rules(noted.rules()).of_place(b"/root/made/190", "write").kind == "deny"


def test_lines_and_refusals_say_of_which_branch_they_are() -> None:
    import json

    lines: list[str] = []
    policy = Policy(Rules({"paths": {"deny": ["/etc/hosts"]}}), audit=Audit(lines.append))
    with Sandbox(policy=policy) as box:
        first, second = box.branch(2)
        [below] = second.branch()
        for one in (box, first, second, below):
            one.run(f"cat /etc/hosts; echo {one.policy.branch or 'none'} > /tmp/x", check=True)
        for one, name in ((box, ""), (first, "1"), (second, "2"), (below, "2.1")):
            assert one.policy.branch == name
            assert [(denied.subject, denied.branch) for denied in one.policy.denied] == [("/etc/hosts", name)]
            mine = [line for line in map(json.loads, lines) if line["branch"] == name]
            assert [line["denied"] for line in mine if "denied" in line] == ["/etc/hosts"]
            assert any(line["call"] == "execve" for line in mine)
        for one in (first, second, below):
            one.close()


# -- the same, awaited


def test_the_same_bounds_hold_for_asyncio(tmp_path: Path) -> None:
    async def look() -> None:
        async with AsyncSandbox() as box:
            await box.run("mkdir d; truncate -s 1T d/big; mkfifo d/pipe", check=True)
            with pytest.raises(OSError, match="more than"):
                await box.files.read("d/big")
            with pytest.raises(OSError, match="more than 10 bytes"):
                await box.files.read_text("d/big", limit=10)
            with pytest.raises(OSError, match="more than"):
                await box.files.download("d", tmp_path / "d")
            with pytest.raises(OSError, match="Invalid"):
                await box.files.read("d/pipe")

    asyncio.run(look())


def test_a_directory_of_the_host_that_may_only_be_read_stays_so(make: Make, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    box = make(mounts={"/fixed": HostDir(tmp_path, readonly=True)})
    for attempt in (
        lambda: box.files.write("/fixed/x", "2"),
        lambda: box.files.remove("/fixed/x"),
        lambda: box.files.mkdir("/fixed/d"),
        lambda: box.files.upload(__file__, "/fixed/y"),
    ):
        with pytest.raises(OSError, match="Read-only"):
            attempt()
    assert os.listdir(tmp_path) == ["x"]
