"""Made-up files of machines: a valid one, of whose decoded values one is another. Whoever loads it, makes a machine of
it and uses that, is told so by `SnapshotError`, or nothing is wrong; whatever comes, the machine can be closed.

    python -m tests.fuzz.saved --cases 20000
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # pytest has it there already

from axptr._core.words.graph import CALL, FROZENSET, INSTANCE, LEAF, TUPLE, Graph, Node, Place
from axptr.errors import LinuxError, SnapshotError
from axptr.linux import PIPE, Linux, MachineSnapshot
from axptr.linux.snapshots.code import decode, encode
from snapfiles import description, resealed

LINES = b"echo $value; cat /tmp/axptr-kept; cd /; (sleep 0.01; echo x) &\nwait\n"
ATOMS = (
    None, True, False, 0, -1, 1, 3, 1 << 31, 1 << 63, 1 << 64, -(1 << 63), b"", b"x", b"/etc", "", "tasks", (), (1, 2),
    (None,), 1.5,
)  # fmt: skip
_MADE_AT_ONCE = (TUPLE, FROZENSET, CALL, LEAF)


class Original:
    """A machine that waits at a prompt, as a file in a directory."""

    def __init__(self, directory: Path, engine: str = "native") -> None:
        self.path = directory / "saved"
        with Linux(engine=engine, overlay=True, env={"PATH": "/usr/bin:/bin"}) as machine:
            loop = 'while read -r line; do eval "$line"; done'
            process = machine.spawn(["sh", "-c", loop], stdin=PIPE, stdout=PIPE, stderr=2)
            process.stdin.feed(b"value=kept; echo text > /tmp/axptr-kept; echo done\n")
            machine.run_until(lambda: process.stdout.total > 0 and process.task.blocked is not None, 60)
            machine.snapshot().save(self.path)
        self.whole = self.path.read_bytes()
        self.graph, self.besides = decode(description(self.whole))
        self.slots = [
            (index, k)
            for index, node in enumerate(self.graph.nodes)
            for k in range(node.kind in (CALL, LEAF), len(node.values))
        ]

    def other(self, dice: random.Random) -> tuple[str, bytes | None]:
        """What was changed, and the file; None where no file can say that."""
        index, k = dice.choice(self.slots)
        room = index if self.graph.nodes[index].kind in _MADE_AT_ONCE else len(self.graph.nodes)
        made = Place(dice.randrange(room)) if room and dice.random() < 0.4 else dice.choice(ATOMS)
        return self.changed(index, k, made)

    def without_core(self) -> Iterator[tuple[str, bytes | None]]:
        """The same where one of the compiled classes' objects is missing, each once."""
        for index, k in self.slots:
            value = self.graph.nodes[index].values[k]
            if isinstance(value, Place):
                found = self.graph.nodes[value.index]
                if found.kind == INSTANCE and found.cls.__module__.startswith("axptr._core."):
                    yield self.changed(index, k, None)

    def changed(self, index: int, k: int, made: object) -> tuple[str, bytes | None]:
        """What is told of an object that has something else there, and the file."""
        nodes = list(self.graph.nodes)
        node = nodes[index]
        values = list(node.values)
        values[k] = made
        nodes[index] = Node(node.kind, node.cls, node.names, tuple(values))
        name = node.names[k] if node.kind == INSTANCE else k
        told = f"{getattr(node.cls, '__name__', node.kind)}.{name} (node {index}): {node.values[k]!r} -> {made!r}"
        try:
            meta = encode(Graph(tuple(nodes), self.graph.roots), self.besides)
        except SnapshotError:
            return told, None
        return told, resealed(self.whole, meta)


def use(machine: Linux, snapshot: MachineSnapshot) -> list[Callable[[], object]]:
    """What somebody may do with it."""

    def branch() -> None:
        with Linux.from_snapshot(machine.snapshot()) as other:
            other.run_until(lambda: False, 0.005)

    return [
        lambda: machine.process().stdin.feed(LINES),  # type: ignore[union-attr]
        lambda: machine.run_until(lambda: False, 0.03),
        lambda: machine.process().stdout.take(),  # type: ignore[union-attr]
        lambda: (machine.process().usage, machine.process().result, machine.processes),
        branch,
        lambda: machine.restore(snapshot),
        lambda: machine.run_until(lambda: False, 0.01),
        machine.end_all,
    ]


def check(original: Original, seed: int) -> str:
    """What is wrong with what comes of one made-up file; nothing as a rule."""
    told, data = original.other(random.Random(seed))
    return check_made(original, f"seed {seed}, {told}", data)


def check_made(original: Original, told: str, data: bytes | None) -> str:
    """The same of a file, of which it is told what was changed."""
    if data is None:
        return ""
    path = original.path.with_name("made up")
    path.write_bytes(data)
    try:
        snapshot = MachineSnapshot.load(path)
        machine = Linux.from_snapshot(snapshot, stdio=(0, 1, 2))
    except (SnapshotError, LinuxError):
        return ""
    except Exception as failure:
        return f"{told}: loading raises {failure!r}\n"
    wrong = ""
    for verb in use(machine, snapshot):
        try:
            verb()
        except (SnapshotError, LinuxError):
            pass
        except Exception as failure:
            nobody = isinstance(failure, KeyError) and ("ThreadGroup.tgid" in told or "dict" in told)  # by that number
            wrong = wrong if nobody else f"{told}: {failure!r}\n"
    try:
        machine.close()
    except Exception as failure:
        wrong = f"{told}: closing raises {failure!r}\n"
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.saved", description=__doc__)
    parser.add_argument("--cases", type=int, default=20000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--engine", default="native", choices=("native", "unicorn"))
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as directory:
        original = Original(Path(directory), options.engine)
        for seed in range(options.first, options.first + options.cases):
            text = check(original, seed)
            if text:
                wrong += 1
                print(text, end="", flush=True)
    print(f"{options.cases} made-up files, {wrong} that are told of otherwise")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
