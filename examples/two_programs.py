"""Runs two programs from one state, and compares what they did to it: here two ways to remove duplicate lines.

The state is what a first sandbox left behind; each program begins with it, in a sandbox of its own, with the same seed.
"""

import tempfile
from pathlib import Path

from axptr import Sandbox
from axptr.linux import Overlay

PROGRAMS = {
    "sort -u": "sort -u words > out; wc -l < out",
    "awk": "awk '!seen[$0]++' words > out; wc -l < out",
}


def outcome(saved: Path, command: str) -> tuple[str, list[bytes], list[str]]:
    with Sandbox(overlay=Overlay.load(saved), seed=7) as box:
        result = box.run(command)
        return result.text.strip(), box.files.read("out").splitlines(), [c.path for c in box.changes()]


with tempfile.TemporaryDirectory() as directory:
    saved = Path(directory) / "state"
    overlay = Overlay()
    with Sandbox(overlay=overlay, seed=7) as first:
        first.run("printf '%s\\n' pear fig apple fig pear > words", check=True)
        overlay.save(saved)
    one, other = (outcome(saved, command) for command in PROGRAMS.values())
    print("same count:", one[0] == other[0], one[0])
    print("same files:", one[2] == other[2], one[2])
    print("same lines:", sorted(one[1]) == sorted(other[1]))
    print("same order:", one[1] == other[1])
