"""`Context`: all registers of a CPU at one moment, as plain data: `engine.save()`, `engine.restore(context)`.

A context belongs to an architecture and to no engine: any engine of that architecture takes it, in another process too.
It is laid out as Linux hands a thread's registers to debuggers and writes them to core files.

Not here: memory. A context is of use with the space that it was saved over, or a snapshot of it.
"""

from __future__ import annotations

from .arch import ARCHITECTURES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from ..mm.space import AddrSpace
    from .arch import Architecture


class Context:
    """arch: the `Architecture`. general: its integer registers, `arch.registers` in 8 bytes each (NT_PRSTATUS).
    extended: floating point and vectors; of x86-64 an FXSAVE64 image or an XSAVE area (NT_X86_XSTATE). Never changes.

    `context.read("rip")` and `context.pc` tell one register, `context.replace(rip=...)` makes a context with others.
    """

    __slots__ = ("arch", "extended", "general")

    arch: Architecture
    general: bytes
    extended: bytes

    def __init__(self, arch: Architecture, general: bytes, extended: bytes) -> None:
        """`ValueError` for a general part that is not as long as the architecture's registers are together."""
        if len(general) != 8 * len(arch.registers):
            raise ValueError(f"the registers of {arch.name} have {8 * len(arch.registers)} bytes, not {len(general)}")
        put = object.__setattr__
        put(self, "arch", arch)
        put(self, "general", bytes(general))
        put(self, "extended", bytes(extended))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a context does not change: make another with replace()")

    def read(self, name: str) -> int:
        """An integer register by its name. `AttributeError` if there is none."""
        return int.from_bytes(self.general[(at := self._place(name)) : at + 8], "little")

    def replace(self, **registers: int) -> Context:
        """The same with other values of some integer registers, which wrap at 64 bits."""
        general = bytearray(self.general)
        for name, value in registers.items():
            at = self._place(name)
            general[at : at + 8] = (value & ((1 << 64) - 1)).to_bytes(8, "little")
        return Context(self.arch, bytes(general), self.extended)

    def _place(self, name: str) -> int:
        try:
            return self.arch.places[name]
        except KeyError:
            raise AttributeError(f"no integer register of {self.arch.name} is called {name!r}") from None

    @property
    def pc(self) -> int:
        """The next instruction."""
        return self.read(self.arch.pc)

    @property
    def sp(self) -> int:
        return self.read(self.arch.sp)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Context):
            return NotImplemented
        return (self.arch, self.general, self.extended) == (other.arch, other.general, other.extended)

    def __hash__(self) -> int:
        return hash((self.arch.name, self.general, self.extended))

    def __reduce__(self) -> tuple[object, ...]:
        return _made, (self.arch.name, self.general, self.extended)

    def __repr__(self) -> str:
        return f"<Context {self.arch.name} at {self.pc:#x}>"


def _made(arch: str, general: bytes, extended: bytes) -> Context:
    """What a pickle calls."""
    return Context(ARCHITECTURES[arch], general, extended)


class SavesContexts:
    """The verbs of an engine for contexts, over what its CPU has compiled: `_take` and `_put`."""

    arch: ClassVar[Architecture]

    if TYPE_CHECKING:

        def _take(self) -> tuple[bytes, bytes]: ...
        def _put(self, general: bytes, extended: bytes) -> None: ...
        def attach(self, space: AddrSpace | None) -> None: ...

    def save(self) -> Context:
        """All registers, x87 and vectors too: for this engine, or any of the architecture."""
        return Context(self.arch, *self._take())

    def restore(self, context: Context) -> None:
        """Put back what an engine of this architecture saved. A system call's handler then returns None.

        `ValueError` for a context of another architecture, or one that no program on this CPU can be in; nothing has
        changed then.
        """
        if not isinstance(context, Context):
            raise TypeError(f"a context is what `save` gives, not {type(context).__name__}")
        if context.arch is not self.arch:
            raise ValueError(f"a context of {context.arch.name} is no use to an {self.arch.name} CPU")
        self._put(context.general, context.extended)

    # -- for a loop that has several programs take turns

    def keep_in_calls(self) -> None:
        """Have a program between two runs stay where it is, as far as the engine can: `save` still has it all."""

    def park(self) -> Any:
        """The registers of the program in the CPU, for `resume` of this engine: cheaper than `save` where they can stay
        where they are. The CPU has no program then."""
        return self.save()

    def resume(self, parked: Any, space: AddrSpace) -> None:
        """Put back what `park` or `save` gave, over its space."""
        self.restore(parked)
        self.attach(space)

    def saved(self, parked: Any) -> Context:
        """What `park` gave, as a context; it stays parked."""
        return parked  # type: ignore[no-any-return]
