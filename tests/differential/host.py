"""The host's side: oracle.c, compiled once, run as a process of its own for each sequence."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from .operations import Op, encode

SOURCE = Path(__file__).with_name("oracle.c")
SKIPPED = -100_000  # what the oracle says of a call whose outcome Linux leaves open (see oracle.c, seam)
ELSEWHERE = 1  # of a mapping whose place the kernel chose


class Answer(NamedTuple):
    """result: of a call, or a byte read, or -(1000 * signal + code) of an access that faulted, `extra` its address."""

    result: int
    extra: int
    data: bytes


def compiler() -> str | None:
    return shutil.which("gcc") or shutil.which("cc")


def build() -> Path:
    """The compiled oracle, kept in the temporary directory by what its source says. Raises where it cannot be built."""
    source = SOURCE.read_bytes()
    target = Path(tempfile.gettempdir()) / f"axptr-oracle-{os.getuid()}-{hashlib.sha256(source).hexdigest()[:16]}"
    if not target.exists():
        cc = compiler()
        if cc is None:
            raise RuntimeError("the differential tests need a C compiler")
        made = target.with_suffix(f".{os.getpid()}")
        subprocess.run([cc, "-O1", "-static", "-o", made, SOURCE], check=True, timeout=120)
        made.rename(target)
    return target


def reason_to_skip() -> str:
    """Why the host cannot be compared with; empty where it can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "needs Linux on x86-64"
    release = tuple(int(word) for word in re.findall(r"\d+", platform.release())[:2])
    if release < (6, 17):
        return f"mremap moves several mappings since Linux 6.17; this is {platform.release()}"
    if os.geteuid() != 0:
        return "needs root: what may be locked and mapped at address 0 depends on it"
    try:
        build()
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        return f"the oracle cannot be built: {error}"
    return ""


def run(ops: list[Op], directory: Path) -> tuple[int, list[Answer]]:
    """Where the heap was, and the answers to all operations."""
    with subprocess.Popen([build(), directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        head = process.stdout.read(8)
        if len(head) != 8:
            raise RuntimeError(f"the oracle does not start: status {process.wait()}")
        (heap,) = struct.unpack("<Q", head)
        process.stdin.write(b"".join(encode(op, heap) for op in ops))
        process.stdin.close()
        raw = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"the oracle ended with status {process.returncode}")
    answers, at = [], 0
    while at < len(raw):
        result, extra, size = struct.unpack_from("<qqQ", raw, at)
        at += 24
        answers.append(Answer(result, extra, raw[at : at + size]))
        at += size
    assert len(answers) == len(ops)
    return heap, answers
