"""Single instructions that the host's CPU cannot do, done by an emulated one in its stead: those that touch devices.

A device's page is no memory: the host's CPU faults there, whatever it is given. The instruction then runs alone in an
engine of Unicorn over the same space, made when it is first needed, and the guest goes on behind it. What a device's
function sees and sets of registers is the engine's whose guest it is.

Left out: instructions that Unicorn lacks (AVX and later), and those of 32 bits, have no access to devices: the fault is
reported.
"""

from __future__ import annotations

from .arch import X86_64
from .context import Context
from .unicorn import UnicornEngine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .exit import Exit
    from .native import NativeEngine

_TRAP = 0x100
_FXSAVE = 512
_HEADER = slice(512, 520)  # which parts of an XSAVE area are in use


class Handover:
    """The emulated CPU beside a native one. Whoever runs that one owns it; a snapshot has nothing of it."""

    def __init__(self, engine: NativeEngine) -> None:
        """`ImportError` without the Unicorn library."""
        self._helper = UnicornEngine(engine.phys)
        self._helper.on_syscall(_no_call)

    def step(self, engine: NativeEngine) -> Exit | None:
        """Do the next instruction of `engine`, or one round of a repeated one. None if it is done; else why it is not.

        What a device's function raises comes out of here, with all registers as before, but for what it set.
        """
        helper, before = self._helper, engine.save()
        space = engine.space
        assert space is not None
        helper.attach(space)
        traps = before.read("rflags") & _TRAP
        helper.restore(Context(X86_64, before.general, before.extended[:_FXSAVE]))
        vectors = helper.save().extended
        done = helper.run(step=True)
        if done.kind != "step" and (done.kind != "exception" or done.vector != 1):
            return done
        after = helper.save()
        now = engine.save()
        changed = {name: after.read(name) for name in X86_64.registers if after.read(name) != before.read(name)}
        for name in X86_64.registers:
            if now.read(name) != before.read(name):  # by the device's function: that stays
                changed.pop(name, None)
        extended = now.extended
        if after.extended != vectors and extended == before.extended:
            extended = _overlaid(extended, after.extended)
        engine.restore(Context(X86_64, now.replace(**changed).general, extended))
        return done if traps and done.kind == "exception" else None

    def close(self) -> None:
        self._helper.close()


def _overlaid(extended: bytes, image: bytes) -> bytes:
    """An XSAVE area with x87 and SSE as an FXSAVE image has them."""
    used = int.from_bytes(extended[_HEADER], "little") | 3
    return image[:464] + extended[464:512] + used.to_bytes(8, "little") + extended[520:]


def _no_call(*call: int) -> int:
    raise AssertionError("an instruction that touches a device is no system call")
