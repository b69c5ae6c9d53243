"""A machine saved here and loaded elsewhere goes on as if nothing had been; what cannot go along is named."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import subprocess
import sys

import pytest

from axptr import Sandbox
from axptr._core.words.graph import INSTANCE, Graph, Node, Place
from axptr.errors import LinuxError, SnapshotError
from axptr.linux import PIPE, Linux, MachineSnapshot, Policy, Rules, SystemTree
from axptr.linux.snapshots.chains import _objects
from axptr.linux.snapshots.code import _find, decode, encode
from axptr.linux.snapshots.kinds import _KINDS, wanted_of
from snapfiles import description, resealed

from .test_branch import ask

SHELL = {"PATH": "/usr/bin:/bin"}
PIPELINE = "(echo one; read -r word; echo $word; echo three) | while read -r x; do echo got $x; done | cat"
PROMPT = "import sys\ntotal = 20\nprint('ready', flush=True)\nfor line in sys.stdin: exec(line)"
ELSEWHERE = """
import sys
from axptr.linux import Linux, MachineSnapshot

snap = MachineSnapshot.load(sys.argv[1])
for _ in range(2):
    with Linux.from_snapshot(snap) as machine:
        process = machine.process()
        process.stdin.feed(sys.argv[2].encode(), last=True)
        assert process.wait().exit_code == 0
        sys.stdout.buffer.write(process.stdout.take())
"""
MANY_THINGS = r"""
import fcntl, mmap, os, queue, select, signal, socket, sys, tempfile, threading, time
home = tempfile.mkdtemp(dir="/tmp")
file = open(home + "/file", "w+b")
file.write(b"A" * 10000)
file.flush()
shared = mmap.mmap(file.fileno(), 10000)
private = mmap.mmap(file.fileno(), 10000, access=mmap.ACCESS_COPY)
private[5], private[9000]
private[5000], shared[9001] = 66, 67
memory = mmap.mmap(-1, 20000)
memory[7000] = 77
reader, writer = os.pipe()
os.write(writer, b"in the pipe")
one, two = socket.socketpair()
one.send(b"in the socket")
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
client.send(b"over the loopback")
jobs, out = queue.Queue(), []
thread = threading.Thread(target=lambda: out.append(jobs.get()), daemon=True)
thread.start()
epoll = select.epoll()
epoll.register(reader, select.EPOLLIN)
signal.signal(signal.SIGALRM, lambda *_: out.append("alarm"))
known = open("/etc/passwd", "rb", buffering=0)
first = known.read(17)
with open("/etc/hostname", "ab") as copied:
    copied.write(b"appended")
counter = os.eventfd(5)
nameless = tempfile.TemporaryFile()
nameless.write(b"nameless")
nameless.flush()
fcntl.flock(file, fcntl.LOCK_EX)
child = os.fork()
if child == 0:
    memory[8000] = 99
    sys.stdin.readline()
    os._exit(memory[7000])
print("ready", flush=True)
os.waitpid(child, 0)
result = [memory[7000], memory[8000], private[5000], private[9000], shared[5000], shared[9001]]
result += [epoll.poll(1) == [(reader, 1)], os.read(reader, 99), two.recv(99), listener.accept()[0].recv(99)]
jobs.put("job")
thread.join()
signal.setitimer(signal.ITIMER_REAL, 0.01)
while len(out) < 2:
    time.sleep(0.01)
result += [out, first + known.read() == open("/etc/passwd", "rb").read(), os.read(counter, 8)]
nameless.seek(0)
file.seek(4999)
result += [nameless.read(), file.read(2), open("/etc/hostname", "rb").read(), os.listdir(home)]
result += [line.split()[5:] for line in open("/proc/self/maps")]
print(result, flush=True)
"""


def elsewhere(path, text: str) -> bytes:
    """What two copies of a saved machine print in another process, after they were given a text to read."""
    done = subprocess.run([sys.executable, "-c", ELSEWHERE, path, text], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("engine", ["native", "unicorn"])
@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["sh", "-c", PIPELINE], "two\n"),
        (["python3", "-c", PROMPT], "import zlib, json; print(json.dumps([total + 1, zlib.crc32(b'x')]))\n"),
        (["python3", "-c", MANY_THINGS], "go on\n"),
    ],
    ids=["pipeline", "python", "many things"],
)
def test_another_process_goes_on_alike(engine, argv, text, tmp_path):
    with Linux(engine=engine, overlay=True, env=SHELL) as machine:
        process = machine.spawn(argv, stdin=PIPE, stdout=PIPE, stderr=2)
        tasks = machine.machine.tasks
        assert machine.run_until(lambda: process.stdout.total > 0 and all(task.blocked for task in tasks.values()))
        before = process.stdout.take()
        snap = machine.snapshot()
        snap.save(tmp_path / "machine")
        process.stdin.feed(text.encode(), last=True)
        assert process.wait().exit_code == 0
        expected = process.stdout.take()
    assert before
    assert expected
    assert elsewhere(tmp_path / "machine", text) == 2 * expected


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The file of a small machine that waits at a prompt."""
    path = tmp_path_factory.mktemp("machine") / "saved"
    with Linux(engine="unicorn", overlay=True, env=SHELL) as machine:
        machine.spawn(
            ["sh", "-c", 'echo ready; while read -r line; do eval "$line"; done'], stdin=PIPE, stdout=PIPE, stderr=2
        )
        assert ask(machine) == b"ready\n"
        ask(machine, b"value=kept; echo text > /tmp/axptr-kept; echo done\n")
        machine.snapshot().save(path)
    return path


def test_what_was_loaded_is_snapshotted_restored_and_saved_again(saved, tmp_path):
    snap = MachineSnapshot.load(saved)
    value = b"kept"
    for _ in range(3):
        with Linux.from_snapshot(snap) as machine:
            ask(machine, b"value=$value,more; echo $value > /tmp/axptr-kept; echo done\n")
            again = machine.snapshot()
            machine.restore(snap)
            assert ask(machine, b"echo $value\n") == value + b"\n"
            machine.restore(again)
            value += b",more"
            assert ask(machine, b'echo "$value $(cat /tmp/axptr-kept)"\n') == b"%b %b\n" % (value, value)
        again.save(tmp_path / "again")
        snap = MachineSnapshot.load(tmp_path / "again")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles(saved, protocol):
    buffers: list[pickle.PickleBuffer] = []
    snap = MachineSnapshot.load(saved)
    out_of_band = {"buffer_callback": buffers.append} if protocol == 5 else {}
    copy = pickle.loads(pickle.dumps(snap, protocol, **out_of_band), buffers=buffers)
    assert bool(buffers) == (protocol == 5)
    with Linux.from_snapshot(copy) as machine:
        assert ask(machine, b"echo $value\n") == b"kept\n"


def test_with_a_seed_it_goes_on_alike(tmp_path):
    draw = b'echo "$(od -An -N8 -tx1 /dev/urandom; cat /proc/uptime)"\n'
    with Linux(seed=7, engine="unicorn", env=SHELL) as machine:
        machine.spawn(
            ["sh", "-c", 'echo ready; while read -r line; do eval "$line"; done'], stdin=PIPE, stdout=PIPE, stderr=2
        )
        ask(machine)
        machine.snapshot().save(tmp_path / "seeded")
        first = ask(machine, draw)
    with Linux.from_snapshot(MachineSnapshot.load(tmp_path / "seeded")) as copy:
        assert ask(copy, draw) == first


def test_standard_streams_of_the_hosts_are_replaced(tmp_path):
    reader, writer = os.pipe()
    with Linux(engine="unicorn", env=SHELL) as machine:
        machine.spawn(["sh", "-c", "read -r x; echo got $x"], stdin=PIPE, stdout=writer, stderr=2)
        machine.run_until(lambda: machine.process().task.blocked is not None)
        machine.snapshot().save(tmp_path / "machine")
    os.close(writer)
    os.close(reader)
    reader, writer = os.pipe()
    with Linux.from_snapshot(MachineSnapshot.load(tmp_path / "machine"), stdio=(0, writer, 2)) as copy:
        copy.process().stdin.feed(b"it\n", last=True)
        assert copy.process().wait().exit_code == 0
    os.close(writer)
    assert os.read(reader, 99) == b"got it\n"
    os.close(reader)


def test_a_tree_of_the_system_goes_along(tmp_path):
    with Linux(engine="unicorn", root=SystemTree(), overlay=True, env=SHELL) as machine:
        machine.spawn(["sh", "-c", "read -r x; cat /etc/passwd; ls /etc; $x"], stdin=PIPE, stdout=PIPE, stderr=2)
        machine.run_until(lambda: machine.process().task.blocked is not None)
        machine.snapshot().save(tmp_path / "machine")
        machine.process().stdin.feed(b"pwd\n", last=True)
        assert machine.process().wait().exit_code == 0
        expected = machine.process().stdout.take()
    assert elsewhere(tmp_path / "machine", "pwd\n") == 2 * expected


def test_a_sandbox_is_saved_with_all_that_it_shows(tmp_path):
    with Sandbox(engine="unicorn") as box:
        box.run("echo kept > /tmp/kept")
        script = "read -r x; cat /tmp/kept; id; $x"
        process = box.linux.spawn(["sh", "-c", script], stdin=PIPE, stdout=PIPE, stderr=2)
        box.linux.run_until(lambda: process.task.blocked is not None)
        box.linux.snapshot().save(tmp_path / "machine")
        process.stdin.feed(b"pwd\n", last=True)
        assert process.wait().exit_code == 0
        expected = process.stdout.take()
    with Linux.from_snapshot(MachineSnapshot.load(tmp_path / "machine")) as copy:
        process = copy.process(process.pid)
        process.stdin.feed(b"pwd\n", last=True)
        assert process.wait().exit_code == 0
        assert process.stdout.take() == expected


def test_a_sandbox_is_loaded_as_one(tmp_path):
    with Sandbox(engine="unicorn", hostname="here") as box:
        box.run("echo kept > /tmp/kept")
        box.snapshot().save(tmp_path / "sandbox")
    with Sandbox.from_snapshot(MachineSnapshot.load(tmp_path / "sandbox")) as copy:
        assert copy.run("cat /tmp/kept; hostname").stdout == b"kept\nhere\n"
        assert "/tmp/kept" in [change.path for change in copy.changes()]


# -- what does not go along


@pytest.mark.parametrize("change", ["longer", "touched", "another", "gone"])
def test_a_file_that_was_open_and_is_not_that_any_more_is_named(tmp_path, change):
    path = tmp_path / "read by the program"
    path.write_text("first\nsecond\n")
    with Linux(engine="unicorn", env=SHELL) as machine:
        script = 'exec 5<"$0"; read -r a <&5; echo $a; read -r x; cat <&5'
        process = machine.spawn(["sh", "-c", script, str(path)], stdin=PIPE, stdout=PIPE, stderr=2)
        machine.run_until(lambda: process.stdout.total > 0 and process.task.blocked is not None)
        machine.snapshot().save(tmp_path / "machine")
    assert elsewhere(tmp_path / "machine", "go\n") == 2 * b"first\nsecond\n"
    if change == "longer":
        path.write_text("first\nsecond\nthird\n")
    elif change == "touched":
        os.utime(path, ns=(0, 0))
    else:
        path.rename(tmp_path / "elsewhere")
    if change == "another":
        path.write_text("first\nsecond\n")
    with pytest.raises(SnapshotError, match="read by the program"):
        MachineSnapshot.load(tmp_path / "machine")


def test_a_file_without_a_name_is_named_when_saving(tmp_path):
    path = tmp_path / "soon gone"
    path.write_text("text\n")
    with Linux(engine="unicorn", env=SHELL) as machine:
        process = machine.spawn(["sh", "-c", 'exec 5<"$0"; read -r x', str(path)], stdin=PIPE, stdout=PIPE, stderr=2)
        machine.run_until(lambda: process.task.blocked is not None)
        path.unlink()
        with pytest.raises(SnapshotError, match="soon gone"):
            machine.snapshot().save(tmp_path / "machine")
    assert os.listdir(tmp_path) == []


def test_rules_are_kept_and_functions_are_missed(tmp_path):
    file = tmp_path / "machine"
    policy = Policy(Rules({"paths": {"deny": ["/etc/passwd"]}}))
    policy.before("openat")(lambda call: None)
    with Linux(engine="unicorn", env=SHELL, policy=policy) as machine:
        process = machine.spawn(["sh", "-c", "read -r x; cat /etc/passwd"], stdin=PIPE, stdout=PIPE, stderr=PIPE)
        machine.run_until(lambda: process.task.blocked is not None)
        machine.snapshot().save(file)
    loaded = MachineSnapshot.load(file)
    with pytest.raises(SnapshotError, match="a function before openat, which no file keeps"):
        Linux.from_snapshot(loaded)
    for given in (Policy(Rules({"paths": {"deny": ["/etc/passwd"]}})), Policy()):
        with Linux.from_snapshot(loaded, policy=given) as machine:
            process = machine.process()
            process.stdin.feed(b"x\n", last=True)
            machine.run_until(lambda process=process: process.ended, 60)
            assert (b"root:" in process.stdout.take()) is (given.rules is None)
            assert bool(given.denied) is (given.rules is not None)


def test_rules_alone_need_no_word(tmp_path):
    file = tmp_path / "machine"
    rules = {"paths": {"deny": ["/etc/passwd"]}, "calls": {"deny": ["ptrace"]}}
    with Linux(engine="unicorn", env=SHELL, policy=Policy(Rules(rules))) as machine:
        process = machine.spawn(["sh", "-c", "read -r x; cat /etc/passwd"], stdin=PIPE, stdout=PIPE, stderr=PIPE)
        machine.run_until(lambda: process.task.blocked is not None)
        machine.snapshot().save(file)
    with Linux.from_snapshot(MachineSnapshot.load(file)) as machine:
        process = machine.process()
        process.stdin.feed(b"x\n", last=True)
        machine.run_until(lambda: process.ended, 60)
        assert process.stdout.take() == b""
        assert [denied.rule for denied in machine.kernel.policy.denied] == ['paths.deny "/etc/passwd"']
        machine.snapshot().save(file)  # again


# -- files that are damaged, or made up


def refused(path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(SnapshotError, match=path.name):
        MachineSnapshot.load(path)


def test_damage_is_told(saved, tmp_path):
    whole, rng = saved.read_bytes(), random.Random(13)
    for at in [*range(100), *(rng.randrange(len(whole)) for _ in range(200))]:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.randrange(8)
        refused(tmp_path / "damaged", bytes(damaged))
    for length in [*range(0, 100, 7), *(rng.randrange(len(whole)) for _ in range(50))]:
        refused(tmp_path / "damaged", whole[:length])


@pytest.mark.parametrize("seed", range(4))
def test_made_up_descriptions_make_a_machine_or_are_refused(saved, tmp_path, seed):
    whole, rng = saved.read_bytes(), random.Random(seed)
    plain, path = description(whole), tmp_path / "made up"
    assert resealed(whole, plain) == whole
    for _ in range(100):
        meta = bytearray(plain)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(meta))
            meta[at : at + rng.randrange(2)] = rng.randbytes(rng.randrange(3))
        path.write_bytes(resealed(whole, bytes(meta)))
        with contextlib.suppress(SnapshotError, LinuxError):
            Linux.from_snapshot(MachineSnapshot.load(path), stdio=(0, 1, 2))


def closes(machine: Linux) -> None:
    """It gives back all that is not nonsense, and says nothing of the rest."""
    machine.close()
    machine.close()
    assert machine.closed
    assert machine.engine.space is None


@pytest.mark.parametrize("seed", range(8))
def test_a_machine_of_a_made_up_description_can_be_used_and_closed(saved, tmp_path, seed):
    """Whatever the verbs say of it: the interpreter lives, and `close` raises nothing."""
    whole, rng = saved.read_bytes(), random.Random(1000 + seed)
    plain, path = description(whole), tmp_path / "made up"
    made, tries = 0, 0
    while made < 8 and tries < 400:
        tries += 1
        meta = bytearray(plain)
        at = rng.randrange(len(meta))
        meta[at : at + rng.randrange(2)] = rng.randbytes(1)
        path.write_bytes(resealed(whole, bytes(meta)))
        try:
            snapshot = MachineSnapshot.load(path)
            machine = Linux.from_snapshot(snapshot, stdio=(0, 1, 2))
        except (SnapshotError, LinuxError):
            continue
        made += 1
        others: list[Linux] = []
        for verb in rng.sample(range(5), 3):
            with contextlib.suppress(Exception):
                if verb == 0:
                    machine.run_until(lambda: False, 0.05)
                elif verb == 1:
                    others.append(Linux.from_snapshot(machine.snapshot()))
                elif verb == 2:
                    machine.restore(snapshot)
                elif verb == 3:
                    machine.end_all()
                else:
                    machine.process().stdin.feed(b"x", last=True)
        for one in (machine, *others):
            closes(one)
    assert made


@pytest.mark.parametrize(
    "name", [b"tasks", b"files", b"space", b"users", b"mounts", b"held", b"leader", b"timers", b"queue"]
)
def test_what_lacks_an_attribute_is_no_machine_or_can_be_closed(saved, tmp_path, name):
    whole = saved.read_bytes()
    meta = description(whole)
    old = bytes([len(name)]) + name
    (tmp_path / "made up").write_bytes(resealed(whole, meta.replace(old, bytes([len(name)]) + b"z" * len(name))))
    try:
        machine = Linux.from_snapshot(MachineSnapshot.load(tmp_path / "made up"), stdio=(0, 1, 2))
    except (SnapshotError, LinuxError):
        return
    closes(machine)


@pytest.mark.parametrize("name", [b"tgid", b"notes", b"started", b"mm"])
def test_what_lacks_an_attribute_makes_no_machine(saved, tmp_path, name):
    whole = saved.read_bytes()
    meta = description(whole)
    old = bytes([len(name)]) + name
    assert old in meta
    (tmp_path / "made up").write_bytes(resealed(whole, meta.replace(old, bytes([len(name)]) + b"z" * len(name))))
    with pytest.raises(SnapshotError):
        Linux.from_snapshot(MachineSnapshot.load(tmp_path / "made up"), stdio=(0, 1, 2))


@pytest.mark.parametrize("name", [b"linux.task.exec:execve", b"subprocess:Popen", b"os:system", b"linux.host:UtsName"])
def test_no_name_leads_anywhere_but_to_a_machines_state(saved, tmp_path, name):
    whole = saved.read_bytes()
    there = b"linux.task.group:ThreadGroup"
    old, new = bytes([len(there)]) + there, bytes([len(name)]) + name
    meta = description(whole)
    assert meta.count(old) == 1
    refused(tmp_path / "made up", resealed(whole, meta.replace(old, new)))


NESTED = """
import ctypes, os, select, time
epolls = [select.epoll() for _ in range(3)]
pipe = os.pipe()
for below, above in zip([pipe[0], epolls[0].fileno(), epolls[1].fileno()], epolls): above.register(below, 1)
libc = ctypes.CDLL(None)
for _ in range(2):
    user, group = os.getuid(), os.getgid()
    libc.unshare(0x10020000)  # CLONE_NEWUSER | CLONE_NEWNS
    for name, text in ("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1"):
        with open("/proc/self/" + name, "w") as file:
            file.write(text)
os.mkdir("/tmp/axptr-one")
for path in (b"/tmp/axptr-one", b"/tmp/axptr-one/two/three"):
    libc.mount(b"none", path, b"tmpfs", 0, None)
    os.makedirs("/tmp/axptr-one/two/three", exist_ok=True)
file = open("/tmp/axptr-one/two/three/file", "w")
if os.fork():
    print("ready", flush=True)
time.sleep(1000)
"""


@pytest.fixture(scope="module")
def nested(tmp_path_factory):
    """The file of a machine with epolls that watch each other, mounts and name spaces within one another, and a
    child."""
    path = tmp_path_factory.mktemp("machine") / "saved"
    with Linux(overlay=True, env=SHELL) as machine:
        process = machine.spawn(["python3", "-S", "-c", NESTED], stdin=PIPE, stdout=PIPE, stderr=2)
        machine.run_until(lambda: process.stdout.total > 0, 60)
        machine.snapshot().save(path)
    return path


def reached(graph, start: int, names: tuple[str, ...]) -> set[int]:
    """What attributes lead to from an object, one after the other."""
    found = {start}
    for name in names:
        found = {
            k for i in found if name in (graph.nodes[i].names or ()) for k in _objects(graph, graph.nodes[i], name)
        }
    return found


@pytest.mark.parametrize(
    ("cls", "name", "back"),
    [
        ("LayeredNode", "_above", ()),
        ("TmpNode", "parent_node", ()),
        ("TmpNode", "inode", ("entries",)),
        ("TmpMount", "above", ("mount",)),
        ("ThreadGroup", "parent", ()),
        ("UserSpace", "parent", ()),
        ("Entry", "file", ("set", "entries")),
        ("EventPoll", "queue", ("_watches", "epoll")),
    ],
)
def test_what_lies_in_itself_is_refused(nested, tmp_path, cls, name, back):
    """Whoever asked for its path, for an ancestor or for who watches would go on without end. back: how what the
    attribute is made to be leads to its owner."""
    whole = nested.read_bytes()
    graph, besides = decode(description(whole))
    nodes = list(graph.nodes)
    index, goal = next(
        (i, k)
        for i, node in enumerate(nodes)
        if node.kind == INSTANCE and node.cls.__name__ == cls and reached(graph, i, (name,))
        for k in range(len(nodes))
        if i in reached(graph, k, back)
    )
    node = nodes[index]
    values = [Place(goal) if key == name else value for key, value in zip(node.names, node.values, strict=True)]
    nodes[index] = Node(node.kind, node.cls, node.names, tuple(values))
    data = resealed(whole, encode(Graph(tuple(nodes), graph.roots), besides))
    (tmp_path / "made up").write_bytes(data)
    with pytest.raises(SnapshotError, match="lies in itself"):
        MachineSnapshot.load(tmp_path / "made up")


FIELDS = """
import os, select, socket, threading, time
r, w = os.pipe(); os.write(w, b"x"); a, b = socket.socketpair()
e = select.epoll(); e.register(r, 1); e.register(a, 1)
lock = threading.Lock(); lock.acquire(); waits = threading.Thread(target=lock.acquire, daemon=True); waits.start()
state = ""
while state != "S":
    time.sleep(0.01)
    state = open(f"/proc/self/task/{waits.native_id}/stat").read().rpartition(")")[2].split()[0]
print("here", flush=True)
input()
"""


def test_what_compiled_code_takes_as_it_lies_is_what_it_is_to_be(tmp_path):
    """Each attribute once as nothing, as a number and as something else of the machine, and left out."""
    with Linux(env=SHELL) as machine:
        process = machine.spawn(["python3", "-S", "-c", FIELDS], stdin=PIPE, stdout=PIPE, stderr=2)
        machine.run_until(lambda: process.stdout.total > 0, 60)
        machine.snapshot().save(tmp_path / "saved")
    whole = (tmp_path / "saved").read_bytes()
    graph, besides = decode(description(whole))
    told = {
        (node.cls.__qualname__, name): (k, wanted)
        for k, node in enumerate(graph.nodes)
        if node.kind == INSTANCE
        for name, wanted in wanted_of(node.cls)
    }
    assert {name for _, name in told} == {name for kinds in _KINDS.values() for name in kinds}
    other = next(k for k, node in enumerate(graph.nodes) if node.kind == INSTANCE and node.cls.__name__ == "FsContext")
    for (_, name), (k, wanted) in told.items():
        node = graph.nodes[k]
        left = [pair for pair in zip(node.names, node.values, strict=True) if pair[0] != name]
        for value in (None, 1, Place(other), ...):
            kinds = wanted.split(" | ")
            if value is not ... and not isinstance(value, Place) and type(value).__name__ in kinds:
                continue
            made = left if value is ... else [*left, (name, value)]
            nodes = list(graph.nodes)
            nodes[k] = Node(node.kind, node.cls, tuple(key for key, _ in made), tuple(value for _, value in made))
            refused(tmp_path / "made up", resealed(whole, encode(Graph(tuple(nodes), graph.roots), besides)))


@pytest.mark.parametrize(("name", "value"), [("stream", None), ("stream", 1), ("owned", True)])
def test_a_file_of_the_users_that_does_not_know_it_is_refused(saved, tmp_path, name, value):
    """It would be closed with the machine, or kept as the machine's own."""
    whole = saved.read_bytes()
    graph, besides = decode(description(whole))
    nodes = list(graph.nodes)
    index = next(i for i, n in enumerate(nodes) if n.kind == INSTANCE and n.cls.__name__ == "HostFile")
    node = nodes[index]
    assert node.values[node.names.index("stream")] == 2
    values = [value if key == name else one for key, one in zip(node.names, node.values, strict=True)]
    nodes[index] = Node(node.kind, node.cls, node.names, tuple(values))
    refused(tmp_path / "made up", resealed(whole, encode(Graph(tuple(nodes), graph.roots), besides)))


def changed(whole, which, **values):
    """The file with other attributes of the first object that is wanted."""
    graph, besides = decode(description(whole))
    nodes = list(graph.nodes)
    index, node = next((i, n) for i, n in enumerate(nodes) if n.kind == INSTANCE and which(graph, n))
    state = {**dict(zip(node.names, node.values, strict=True)), **values}
    nodes[index] = Node(node.kind, node.cls, tuple(state), tuple(state.values()))
    return resealed(whole, encode(Graph(tuple(nodes), graph.roots), besides))


def test_a_path_below_that_leads_back_to_its_name_is_refused(saved, tmp_path):
    """The root of an overlay says that it lies below itself: whoever asked where it is would look without end."""

    def is_root(graph, node):
        return node.cls.__name__ == "LayeredNode" and node.values[node.names.index("name")] == b""

    path = tmp_path / "made up"
    path.write_bytes(changed(saved.read_bytes(), is_root, path_below=b"/etc"))
    with pytest.raises(SnapshotError, match="lies in itself"):
        MachineSnapshot.load(path)


@pytest.mark.parametrize("again", [(), (None,), (None, ()), "less", "other"])
def test_a_wait_that_says_less_of_how_it_goes_on_is_told_of(saved, tmp_path, again):
    """less, other: of what the function is called with. Compiled code reads it."""
    whole = saved.read_bytes()
    graph, besides = decode(description(whole))
    nodes = list(graph.nodes)
    index = next(
        node.values[node.names.index("again")].index
        for node in nodes
        if node.kind == INSTANCE and node.cls.__name__ == "Blocked"
    )
    was = nodes[index]
    if isinstance(again, str):
        data = nodes[was.values[1].index]
        kept = data.values[:1] if again == "less" else (None, *data.values[1:])
        nodes[was.values[1].index] = Node(data.kind, data.cls, data.names, kept)
    else:
        nodes[index] = Node(was.kind, was.cls, was.names, again)
    path = tmp_path / "made up"
    path.write_bytes(resealed(whole, encode(Graph(tuple(nodes), graph.roots), besides)))
    with pytest.raises(SnapshotError):  # noqa: PT012 - loaded, or used
        with Linux.from_snapshot(MachineSnapshot.load(path), stdio=(0, 1, 2)) as machine:
            machine.process().stdin.feed(b"echo x\n")
            machine.run_until(lambda: False, 0.05)
            raise SnapshotError("nobody asked") if again == "other" else AssertionError


def test_what_does_not_lie_in_itself_is_loaded(nested):
    with Linux.from_snapshot(MachineSnapshot.load(nested)) as machine:
        machine.run_until(lambda: False, 0.01)


def test_names_of_functions_lead_to_those_that_go_on_with_a_call():
    for name in (
        "linux.task.group:ThreadGroup.__init__", "linux.api:create_process", "linux.snapshots.file:load", "os:system",
        "linux.host:os", "kernel.run:RunLoop.run.x", "linux.abi:", ":", "linux..x:y", "linux.\0:y",
    ):  # fmt: skip
        with pytest.raises(SnapshotError):
            _find(name)


def test_a_chain_that_is_too_deep_is_refused():
    with pytest.raises(SnapshotError):
        decode(bytes([9, 0, 5]) + b"tuple" + bytes([1]) + bytes([9, 0, 1]) * 5000)
