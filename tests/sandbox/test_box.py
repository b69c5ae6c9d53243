"""`Sandbox`: commands, what they see of the host, and what stays between them."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr import Sandbox
from axptr.linux import HostDir, Overlay, ProgramError, Tmpfs
from axptr.sandbox import CommandFailed, Limits

Make = Callable[..., Sandbox]


def test_a_line_for_the_shell_and_a_list_of_arguments(box: Sandbox) -> None:
    result = box.run("echo out; echo err >&2; exit 3")
    assert (result.stdout, result.stderr, result.exit_status) == (b"out\n", b"err\n", 3)
    assert (result.signal, result.limit, result.ok, result.how) == (None, None, False, "exited with 3")
    assert box.run(["printf", "%s|", "a b", "$HOME"]).text == "a b|$HOME|"
    assert result.usage.wall > 0
    assert result.usage.memory > 0


def test_input_environment_directory_and_user(box: Sandbox) -> None:
    assert box.run("cat; echo $A; pwd; id -u", input="in ", env={"A": "b"}, cwd="/tmp").text == "in b\n/tmp\n0\n"
    assert box.run(["wc", "-c"], input=b"x" * 200_000).text == "200000\n"
    assert box.run("id -un; id -Gn", user="user").text == "user\nuser\n"


def test_check_raises_for_what_failed(box: Sandbox) -> None:
    assert box.run("true", check=True).ok
    with pytest.raises(CommandFailed, match=r"exited with 4: why$") as caught:
        box.run("echo why >&2; exit 4", check=True)
    assert caught.value.result.exit_status == 4


def test_death_by_a_signal_says_why(box: Sandbox) -> None:
    result = box.run(["sh", "-c", "kill -SEGV $$"])
    assert (result.signal, result.exit_status) == (signal.SIGSEGV, 139)
    assert result.how == "killed by SIGSEGV"
    result = box.run(["python3", "-c", "import ctypes; ctypes.string_at(16)"])
    assert result.signal == signal.SIGSEGV
    assert "read at 0x10" in result.how


def test_what_cannot_be_started(box: Sandbox) -> None:
    with pytest.raises(ProgramError) as caught:
        box.run(["nonesuch"])
    assert caught.value.exit_status == 127
    assert box.run("nonesuch").exit_status == 127
    assert box.run("echo fine").text == "fine\n"


def test_nothing_of_the_host_is_seen_but_system_directories(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("secret")
    monkeypatch.setenv("SECRET", "secret")
    box = make()
    assert not box.run(["cat", tmp_path / "secret"]).ok
    names = set(box.run("ls /").text.split())
    known = {"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "home", "root", "tmp", "var", "run", "opt"}
    assert names <= known | {"media", "mnt", "srv", "proc", "dev", "sys", "nix", "gnu"}
    assert box.run("ls -A /tmp /var/tmp /root /home/user /opt /srv /mnt | grep -v :").text.strip() == ""
    environment = dict(line.split("=", 1) for line in box.run("env").text.splitlines())
    assert set(environment) <= {"PATH", "HOME", "LANG", "USER", "LOGNAME", "PWD", "SHLVL", "_", "OLDPWD"}
    assert not box.run("cat /etc/shadow").ok
    assert "user:x:1000:" in box.run("cat /etc/passwd").text
    assert box.run("hostname; uname -n").text == "sandbox\nsandbox\n"
    assert box.run("ls /proc | grep -c '^[0-9]'").text == "4\n"  # init, the shell, ls, grep
    assert os.uname().version not in box.run("uname -a").text


def test_no_descriptor_of_the_host_is_there(box: Sandbox) -> None:
    assert box.run("ls /proc/self/fd").text.split() == ["0", "1", "2", "3"]  # 3 is the directory
    assert all(line.startswith("pipe:[") for line in box.run("readlink /proc/self/fd/[012]").text.splitlines())


def test_what_it_writes_stays_in_it_and_is_told(box: Sandbox) -> None:
    box.run("echo x > /tmp/new; echo y >> /etc/hosts; rm /usr/bin/env; mkdir /opt/tool", check=True)
    assert [(c.kind, c.path) for c in box.changes()] == [
        ("changed", "/etc/hosts"),
        ("added", "/opt/tool"),
        ("added", "/tmp/new"),
        ("removed", "/usr/bin/env"),
    ]
    assert Path("/usr/bin/env").exists()
    assert not Path("/tmp/new").exists() or Path("/tmp/new").read_text() != "x\n"
    assert box.run("cat /tmp/new").text == "x\n"


def test_an_overlay_of_yours_can_be_saved_and_begun_with(make: Make, tmp_path: Path) -> None:
    overlay = Overlay()
    make(overlay=overlay).run("echo kept > /root/file", check=True)
    overlay.save(tmp_path / "changes")
    assert make(overlay=Overlay.load(tmp_path / "changes")).run("cat file").text == "kept\n"
    box = make(overlay=False)
    assert not box.run("echo x > /tmp/file").ok
    with pytest.raises(RuntimeError, match="no overlay"):
        box.changes()


def test_mounts_of_the_host_and_in_memory(make: Make, tmp_path: Path) -> None:
    mine, fixed = tmp_path / "mine", tmp_path / "fixed"
    mine.mkdir()
    fixed.mkdir()
    (fixed / "data").write_text("data")
    box = make(mounts={"/work": mine, "/data": HostDir(fixed, readonly=True), "/scratch": Tmpfs()})
    box.run("cp /data/data /work/copy; echo x > /scratch/x", check=True)
    assert (mine / "copy").read_text() == "data"
    assert not box.run("echo x > /data/data").ok
    assert (fixed / "data").read_text() == "data"


def test_a_link_in_a_mount_does_not_lead_out(make: Make, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (tmp_path / "secret").write_text("secret")
    (mine / "out").symlink_to(tmp_path / "secret")
    (mine / "up").symlink_to("../secret")
    box = make(mounts={"/work": mine})
    for path in ("/work/out", "/work/up", f"/work/../{tmp_path}/secret", "/work/../../secret"):
        assert not box.run(["cat", path]).ok
        with pytest.raises(OSError, match="No such file"):
            box.files.read(path)


def test_background_goes_on_with_the_next_command(box: Sandbox) -> None:
    box.run("(while ! test -e /tmp/go; do sleep 0.01; done; echo done > /tmp/done) &", check=True)
    assert len(box.processes) >= 1
    assert box.run("touch /tmp/go; while ! test -e /tmp/done; do sleep 0.01; done; cat /tmp/done").text == "done\n"
    box.run("sleep 1000 &")
    box.end_all()
    assert box.processes == []
    assert box.run("echo fine").text == "fine\n"


def test_a_seed_makes_everything_repeat(make: Make) -> None:
    script = (
        "date +%s.%N; head -c 8 /dev/urandom | od -x; echo $$; sleep 100; date +%s\npython3 -c 'print(hash(\"x\"))'"
    )
    first, second, other = (make(seed=seed, engine="auto").run(script).stdout for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_several_threads_run_commands_at_once(box: Sandbox) -> None:
    found: dict[int, str] = {}

    def one(number: int) -> None:
        for _ in range(3):
            found[number] = box.run(f"sleep 0.0{number}; echo {number}").text

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert found == {number: f"{number}\n" for number in range(6)}
    assert box.processes == []


def test_closing_ends_what_another_thread_waits_for(make: Make) -> None:
    box = make()
    ended: list[BaseException] = []
    started = threading.Event()

    def wait() -> None:
        process = box.begin("while :; do :; done", b"")
        started.set()
        try:
            process.wait()
        except RuntimeError as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert started.wait(60)
    box.close()
    thread.join(60)
    assert not thread.is_alive()
    assert len(ended) == 1
    with pytest.raises(RuntimeError):
        box.run("true")
    with pytest.raises(RuntimeError):
        box.files.list("/")
    assert repr(box) == "<Sandbox sandbox, closed>"


def test_nonsense_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="allows nothing"):
        Limits(memory=0)
    with pytest.raises(TypeError):
        Limits(processes="many")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no time"):
        make().run("true", timeout=0)
    with pytest.raises(ValueError, match="there is no net"):
        make(net="some")
    with pytest.raises(ValueError, match="which program"):
        make().run([])
    assert Limits().but(memory=5 << 20).memory == 5 << 20
    assert eval(repr(Limits()), {"Limits": Limits}).memory == Limits().memory


WRONG = {
    "overlay": (1, TypeError), "limits": ({}, TypeError), "policy": ("x", TypeError), "seed": ("1", TypeError),
    "env": (["A=1"], TypeError), "root": (1, TypeError), "mounts": ({1: "/"}, TypeError), "user": (b"root", TypeError),
    "hostname": ("a" * 65, ValueError), "net": (None, ValueError), "engine": (None, TypeError),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_an_option_of_the_wrong_kind_is_named(name: str) -> None:
    value, error = WRONG[name]
    with pytest.raises(error, match=f"{name}|mount a int|a user is|there is no net"), Sandbox(**{name: value}) as box:  # type: ignore[arg-type]
        box.run("true")


def test_hostnames_as_linux_takes_them(make: Make) -> None:
    assert make(hostname="a" * 64).run("hostname").text == "a" * 64 + "\n"
    for name, error in ((5, TypeError), ("a\0b", ValueError), ("\u00e9" * 33, ValueError)):
        with pytest.raises(error, match="hostname"):
            make(hostname=name)


@pytest.mark.parametrize("command", [None, 1, Path("/bin/true"), bytearray(b"true"), True])
def test_what_is_no_command_is_told(box: Sandbox, command: object) -> None:
    with pytest.raises(TypeError, match="a command is a list of arguments, or a line for the shell"):
        box.run(command)  # type: ignore[arg-type]


def test_a_relative_directory_is_from_the_home_directory_as_files_are(make: Make) -> None:
    for user, home in (("root", "/root"), ("user", "/home/user")):
        box = make(user=user)
        box.files.mkdir("work")
        for cwd in ("work", Path("work"), b"./work"):
            assert box.run("pwd", cwd=cwd).text == f"{home}/work\n"  # type: ignore[arg-type]
        assert box.run("pwd", cwd="").text == f"{home}\n"


def _nothing(box: Sandbox) -> None:
    pass


def _files(box: Sandbox) -> None:
    box.files.write("a", b"b" * 10_000)
    box.files.read("a")


def _children(box: Sandbox) -> None:
    box.run("for i in 1 2 3; do sh -c 'cat /etc/passwd | wc -l' >f; done; sleep 60 & :", check=True)


def _living(box: Sandbox) -> None:
    command = box.spawn(["sh", "-c", "cat | cat"])
    assert command.stdin is not None
    assert command.stdout is not None
    command.stdin.write(b"a\n")
    command.stdout.readline()


_HELD = """
import ctypes, fcntl, os, pty, select, signal, socket, threading, time
libc = ctypes.CDLL(None)
listening = socket.create_server(("127.0.0.1", 0))
stream = socket.create_connection(listening.getsockname())
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", 0))
one, other = socket.socketpair()
socket.send_fds(one, [b"x"], [other.fileno()])
poll = select.epoll()
poll.register(one)
above = select.epoll()
above.register(poll)
master, slave = pty.openpty()
os.write(master, b"typed")
os.write(os.memfd_create("x"), b"x")
libc.inotify_add_watch(libc.inotify_init(), b"/root", 0xFFF)
libc.shmget(0, 9999, 0o1600)
libc.timerfd_create(1, 0), libc.eventfd(1, 0)
fcntl.lockf(open("locked", "w"), 2)
signal.setitimer(signal.ITIMER_REAL, 100)
child = os.fork()
if not child:
    os._exit(0)
held = os.pidfd_open(child)
os.waitpid(child, 0)
threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
if os.fork():
    os._exit(0)
time.sleep(100)
"""


def _held(box: Sandbox) -> None:
    assert box.run(["python3", "-c", _HELD], check=True).stderr == b""


def _traced(box: Sandbox) -> None:
    if box.files.exists("/usr/bin/strace"):
        box.run(
            "strace -f -o /dev/null python3 -c 'import threading; threading.Thread(target=print).start()'", check=True
        )
        box.spawn(["strace", "-o", "/dev/null", "sleep", "100"])


def _apart(box: Sandbox) -> None:
    listen = "import socket, os; it = socket.create_server(('0.0.0.0', 0)); os.fork() or os._exit(0); os._exit(0)"
    box.run(["unshare", "-m", "-n", "-i", "-u", "python3", "-c", listen], check=True)


def _branched(box: Sandbox) -> None:
    command = box.spawn(["sh", "-c", "sh -c true; cat"])
    for branch in box.branch(2):
        branch.run("sh -c true; cat /etc/passwd | cat; echo x > f")
        branch.close()
    box.restore(box.snapshot())
    command.kill()


@pytest.mark.parametrize("use", [_nothing, _files, _children, _living, _held, _traced, _apart, _branched])
def test_what_is_closed_goes_without_the_collector(use: Callable[[Sandbox], None], engine: str) -> None:
    def once() -> weakref.ref[object]:
        with Sandbox(engine=engine) as box:
            use(box)
        return weakref.ref(box.linux.machine)

    once()
    gc.collect()
    gc.disable()
    try:
        assert [once()() for _ in range(2)] == [None, None]
    finally:
        gc.enable()
