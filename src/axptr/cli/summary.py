"""What a run is summed up with: the calls nobody served, and the figures of `--stats`."""

from __future__ import annotations

from ..addr import PAGE_SIZE
from ..linux.abi.numbers import name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.api import Process

FAULT_KINDS = (("read", "faults_read"), ("write", "faults_write"), ("fetch", "faults_fetch"))


def unknown_calls(unknown: dict[int, int]) -> str:
    """One line: the system calls that got ENOSYS, with their numbers and how often."""
    entries = [
        f"{name_of(number)} ({number})" + (f" {count} times" if count > 1 else "")
        for number, count in sorted(unknown.items())
    ]
    return f"axptr: system calls not implemented: {', '.join(entries)}"


def statistics(process: Process, wall: float) -> str:
    """The text of `--stats`: memory, faults and time (wall: seconds), then the calls, most frequent first."""
    space, phys = process.space.stats(), process.phys
    calls = process.kernel.calls
    faults = [(kind, int(space[key])) for kind, key in FAULT_KINDS]
    peak = process.machine.account.peak // PAGE_SIZE
    lines = [
        "axptr: statistics",
        f"  engine              {process.engine.name} ({process.engine_why})",
        f"  wall time           {wall * 1000:,.1f} ms",
        f"  system calls        {sum(calls.values()):,}",
        f"  page faults         {sum(count for _, count in faults):,}"
        f" ({', '.join(f'{kind} {count:,}' for kind, count in faults)})",
        f"  copies on write     {space['copy_on_write']:,}",
        f"  pages populated     {space['populated']:,}",
        f"  frames at the end   {phys.data_frames:,} of data, {phys.table_frames:,} of page tables",
        f"  frames at the peak  {peak:,} ({peak * PAGE_SIZE / 1024:,.0f} KiB)",
        "  calls by name",
    ]
    for name, count in sorted(calls.items(), key=lambda entry: (-entry[1], entry[0])):
        lines.append(f"    {count:>9,}  {name}")
    return "\n".join(lines) + "\n"
