"""What a program is told of its CPU besides `cpuid`: the auxiliary vector's words, and /proc/cpuinfo.

It must be what `cpuid` says, and that is the engine's: the emulated one's stand here, those of the host's own are asked
for.
Source: arch/x86/kernel/cpu/proc.c, fs/binfmt_elf.c.
"""

from __future__ import annotations

from ....named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...host import HostView


class Cpu(NamedTuple):
    """hwcap: CPUID leaf 1, EDX. hwcap2: HWCAP2_* of asm/hwcap2.h. frame: bytes of a signal's frame (AT_MINSIGSTKSZ).
    rows: of /proc/cpuinfo, of one CPU."""

    hwcap: int
    hwcap2: int
    frame: int
    rows: tuple[tuple[str, str], ...]

    def has(self, flag: str) -> bool:
        """Whether /proc/cpuinfo names it."""
        return any(flag in value.split() for name, value in self.rows if name.strip() == "flags")

    def text(self, count: int) -> bytes:
        """/proc/cpuinfo of a machine that has so many of it, each a core of one package."""
        return "".join(self._one(number, count) for number in range(count)).encode()

    def _one(self, number: int, count: int) -> str:
        told = dict.fromkeys(_NUMBERS, str(number)) | dict.fromkeys(_COUNTS, str(count))
        return "".join(f"{name}: {told.get(name.strip(), value)}\n" for name, value in self.rows) + "\n"


_NUMBERS, _COUNTS = ("processor", "core id", "apicid", "initial apicid"), ("siblings", "cpu cores")
_ALONE = {"processor": "0", "physical id": "0", "siblings": "1", "core id": "0", "cpu cores": "1", "apicid": "0"}


def of_host(view: HostView) -> Cpu:
    """The host's, as one alone."""
    rows = []
    for line in view.cpuinfo().split("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        rows.append((name, _ALONE.get(name.strip(), value.strip())))
    return Cpu(*view.hardware(), tuple(rows))


_FLAGS = (
    "fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 syscall nx "
    "rdtscp lm cpuid pni pclmulqdq ssse3 cx16 sse4_1 sse4_2 popcnt aes xsave rdrand hypervisor lahf_lm "
    "fsgsbase smep erms arat"
)

EMULATED = Cpu(
    0x078BFBFD,
    2,  # HWCAP2_FSGSBASE: programs may use rdfsbase and its kin
    2048,
    (
        ("processor\t", "0"),
        ("vendor_id\t", "GenuineIntel"),
        ("cpu family\t", "6"),
        ("model\t\t", "58"),
        ("model name\t", "Intel Xeon E3-12xx v2 (Ivy Bridge)"),
        ("stepping\t", "9"),
        ("cpu MHz\t\t", "1000.000"),
        ("physical id\t", "0"),
        ("siblings\t", "1"),
        ("core id\t\t", "0"),
        ("cpu cores\t", "1"),
        ("fpu\t\t", "yes"),
        ("fpu_exception\t", "yes"),
        ("cpuid level\t", "13"),
        ("wp\t\t", "yes"),
        ("flags\t\t", _FLAGS),
        ("bugs\t\t", ""),
        ("bogomips\t", "2000.00"),
        ("clflush size\t", "64"),
        ("cache_alignment\t", "64"),
        ("address sizes\t", "40 bits physical, 48 bits virtual"),
        ("power management", ""),
    ),
)
"""In the kernel's words and order."""
