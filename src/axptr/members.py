"""`Enum` and `IntFlag`: those of `enum` for who imports axptr. For the command the few names that every run has are
made here, because `enum`, with all that it loads, takes a start as long as ten modules of ours.

Made here: members by name, value, number, in order; their texts; sets of flags with STRICT's borders; copies and
pickles that are the same object. Not here: aliases, `auto`, `_missing_`, mixed-in types, and everything else that those
have.

Failure: `ValueError` for a value of no member, `KeyError` for a name of none, `TypeError` for what can be neither.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enum import Enum, IntFlag

    LightEnum, LightIntFlag = Enum, IntFlag
else:

    class Members(type):
        """The class of a class of members: what its body assigns that is a number or text, each once."""

        def __new__(meta, name, bases, body):
            found = {key: value for key, value in body.items() if type(value) in (int, str) and key[0] != "_"}
            cls = super().__new__(meta, name, bases, {key: body[key] for key in body if key not in found})
            cls.__members__ = {}
            cls._made = {}
            for key, value in found.items():
                cls.__members__[key] = cls._made[value] = member = cls._make(value, key)
                type.__setattr__(cls, key, member)
            cls._all = sum(found.values()) if issubclass(cls, int) else 0
            return cls

        def __setattr__(cls, name, value):
            if name in cls.__dict__.get("__members__", ()):
                raise AttributeError(f"cannot reassign member {name!r}")
            super().__setattr__(name, value)

        def __call__(cls, value):
            try:
                return cls._made[value]
            except (KeyError, TypeError):  # no member has it, or none can
                return cls._missing(value)

        def __getitem__(cls, name):
            return cls.__members__[name]

        def __iter__(cls):
            return iter(cls.__members__.values())

        def __len__(cls):
            return len(cls.__members__)

        def __contains__(cls, value):
            return isinstance(value, cls) or (value.__hash__ is not None and value in cls._made)

    class LightEnum(metaclass=Members):
        """A fixed set of values with names; a member is equal to itself alone."""

        @classmethod
        def _make(cls, value, name):
            made = object.__new__(cls)
            made.name = made._name_ = name
            made.value = made._value_ = value
            return made

        @classmethod
        def _missing(cls, value):
            raise ValueError(f"{value!r} is not a valid {cls.__qualname__}")

        def __repr__(self):
            return f"<{type(self).__name__}.{self.name}: {self.value!r}>"

        def __str__(self):
            return f"{type(self).__name__}.{self.name}"

        def __hash__(self):
            return hash(self.name)

        def __reduce_ex__(self, protocol):
            return type(self), (self.value,)

    class LightIntFlag(int, metaclass=Members):
        """Numbers that are sets of bits, each bit with a name."""

        @classmethod
        def _make(cls, value, name=None):
            return int.__new__(cls, value)

        @classmethod
        def _missing(cls, value):
            if not isinstance(value, int):
                raise TypeError(f"flags are {cls.__name__}, not {type(value).__name__}")
            most = (1 << cls._all.bit_length()) - 1
            if not ~most <= value <= most or value & most & ~cls._all:
                raise ValueError(f"{cls!r} invalid value {value}: want bits of {cls._all:#b}")
            return cls._made.setdefault(value & most, int.__new__(cls, value & most))

        @property
        def value(self):
            return int(self)

        @property
        def name(self):
            return "|".join([name for name, member in self.__members__.items() if member & self]) or None

        _value_, _name_ = value, name

        def __repr__(self):
            name = self.name
            return f"<{type(self).__name__}{f'.{name}' if name else ''}: {int(self)}>"

        def __str__(self):
            return int.__repr__(self)

        def __format__(self, spec):
            return int.__format__(self, spec)

        def __or__(self, other):
            return type(self)(int(self) | int(other)) if isinstance(other, int) else NotImplemented

        def __and__(self, other):
            return type(self)(int(self) & int(other)) if isinstance(other, int) else NotImplemented

        def __xor__(self, other):
            return type(self)(int(self) ^ int(other)) if isinstance(other, int) else NotImplemented

        __ror__, __rand__, __rxor__ = __or__, __and__, __xor__

        def __invert__(self):
            return type(self)(self._all & ~int(self))

        def __iter__(self):
            return (member for member in type(self) if member & self)

        def __len__(self):
            return int(self).bit_count()

        def __bool__(self):
            return int(self) != 0

        def __contains__(self, other):
            if not isinstance(other, type(self)):
                raise TypeError(f"a flag of {type(self).__name__} is wanted, not {type(other).__name__}")
            return int(self) & int(other) == int(other)

        def __reduce_ex__(self, protocol):
            return type(self), (int(self),)

    if "axptr.cli.quick" in sys.modules:  # the command
        Enum, IntFlag = LightEnum, LightIntFlag
    else:
        import enum

        Enum = enum.Enum

        class IntFlag(enum.IntFlag, boundary=enum.STRICT):
            """With the borders, and the error for what is no number, of the light one."""

            @classmethod
            def _missing_(cls, value):
                if not isinstance(value, int):
                    raise TypeError(f"flags are {cls.__name__}, not {type(value).__name__}")
                return super()._missing_(value)


__all__ = ["Enum", "IntFlag", "LightEnum", "LightIntFlag"]
