"""`python -m tests.oracle [GROUP ...] [--seeds N] [--first N] [--count N]`: compare, and print each difference."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .compare import build, differences
from .generate import GROUPS, pieces


def disassembled(code: bytes) -> str:
    try:
        import capstone
    except ImportError:
        return ""
    md = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    return "; ".join(f"{i.mnemonic} {i.op_str}".strip() for i in md.disasm(code, 0x50000000))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("groups", nargs="*", default=list(GROUPS), metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--count", type=int, default=2000, help="pieces to a seed")
    arguments = parser.parse_args()
    found = 0
    with tempfile.TemporaryDirectory() as directory:
        program = build(Path(directory))
        for group in arguments.groups:
            for seed in range(arguments.first, arguments.first + arguments.seeds):
                for piece, what in differences(program, pieces(group, seed, arguments.count)):
                    found += 1
                    print(f"{group} {piece.code.hex()} seed {piece.seed:#x}: {disassembled(piece.code)}")
                    for name, (host, ours) in what.items():
                        print(f"    {name:8} host {host & (1 << 64) - 1:#x} ours {ours & (1 << 64) - 1:#x}")
                print(f"{group} {seed}: {arguments.count} pieces, {found} differences so far", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
