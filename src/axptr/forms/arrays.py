"""numpy's dtypes as types: `UserConstPtr.of(np.dtype("<u4"))`, structured ones too; the scalar classes (`np.uint32`).

`read` gives a scalar, for a structured dtype an `np.void` of its own bytes, for a subarray an `ndarray`; `read_slice`
an `ndarray`, filled in place; the live verbs arrays over user memory. The dtype says byte order, size and alignment (1
if it is structured and not made with `align=True`).

numpy is imported here alone, and only once somebody who has imported it hands in a type of its own.

Refused: dtypes that hold objects of the host, and text (`U`): numpy cannot show every value that a guest may store.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .base import Form

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .base import Number

_frombuffer = np.frombuffer
_made: dict[Any, DtypeForm] = {}


class DtypeForm(Form):
    """A dtype; made by `of`, once for each dtype and alignment."""

    mutable: ClassVar[bool] = True

    @classmethod
    def of(cls, T: Any) -> DtypeForm:
        dtype = np.dtype(T)
        key = dtype, dtype.alignment
        found = _made.get(key)
        if found is None:
            found = _made[key] = cls(dtype)
        return found

    def __init__(self, dtype: Any) -> None:
        _refuse(dtype)
        if dtype.itemsize == 0:
            raise TypeError(f"{dtype!r} has no size: a pointer needs something to point at")
        self.T = dtype
        self.size = dtype.itemsize
        self.align = dtype.alignment
        if self.size % self.align:
            raise TypeError(f"{dtype!r}: {self.size} bytes are no multiple of its alignment")
        self.address = dtype.kind in "iu"
        covered = _covered(dtype)
        self._gaps = None if covered.all() else ~covered

    @property
    def number(self) -> Number | None:
        if not self.address:
            return None
        return "big" if self.size > 1 and self.T.newbyteorder(">") == self.T else "little", self.T.kind == "i"

    def load(self, blob: bytes) -> Any:
        return np.frombuffer(blob if isinstance(blob, bytearray) else bytearray(blob), self.T, 1)[0]

    def load_many(self, blob: Any, n: int) -> Any:
        return _frombuffer(blob, self.T) if n else np.empty(0, self.T)

    def dump(self, value: Any) -> bytes:
        made = self._array(value)
        if made.shape != self.T.shape:
            raise TypeError(f"{self} needs one value, not an array of shape {made.shape}")
        return self._bytes(made)

    def dump_many(self, values: Any) -> bytes:
        if not isinstance(values, (np.ndarray, list, tuple)):
            values = list(values)
        if len(values) == 0:
            return b""
        made = self._array(values)
        if made.ndim != 1 + len(self.T.shape) or made.shape[1:] != self.T.shape:
            raise TypeError(f"a slice of {self} needs a row of values, not an array of shape {made.shape}")
        return self._bytes(made)

    def _bytes(self, made: Any) -> bytes:
        """The bytes of the array, 0 in the padding: what numpy has there is whatever the host's memory had."""
        blob: bytes = made.tobytes()
        if self._gaps is None:
            return blob
        rows = np.frombuffer(bytearray(blob), np.uint8).reshape(-1, self.size)
        rows[:, self._gaps] = 0
        return rows.tobytes()

    def _array(self, value: Any) -> Any:
        """The values in this dtype; what numpy would cut short, wrap or round is refused."""
        base = self.T.base
        try:
            given = value if base.names is None else None
            if isinstance(value, (np.ndarray, np.generic)) and value.dtype == base:
                return np.asarray(value)
            if given is None:
                return np.array(value, base)
            given = np.asarray(value)
            if base.kind in "iu":
                if given.size and given.dtype.kind not in "iubO":
                    raise TypeError(f"{self} needs integers, not {given.dtype}")
                made = given.astype(base) if given.dtype.kind != "O" else np.array(value, base)
                if (made != given).any():
                    raise OverflowError(f"{value!r} does not fit in {self}")
                return made
            if base.kind in "SV" and given.dtype.kind in "SV" and given.dtype.itemsize > base.itemsize:
                raise OverflowError(f"{given.dtype.itemsize} bytes do not fit in {self}")
            if given.size and given.dtype.kind != "O" and not np.can_cast(given.dtype, base, "same_kind"):
                raise TypeError(f"{self} takes no {given.dtype}")
            with np.errstate(over="raise"):
                return np.array(value, base)
        except FloatingPointError:
            raise OverflowError(f"{value!r} does not fit in {self}") from None
        except ValueError as failure:
            raise TypeError(f"{self}: {failure}") from None

    def live(self, view: memoryview) -> Any:
        array = self.live_many(view, 1)
        # An element that is structured or an array is a view; of a scalar numpy would give a copy.
        return array[0] if self.T.names is not None or self.T.shape else array.reshape(())

    def live_many(self, view: memoryview, n: int) -> Any:
        return np.frombuffer(view, self.T, n) if n else np.empty(0, self.T)

    def parts(self) -> list[tuple[str, int, Any]]:
        return [(name, entry[1], entry[0]) for name, entry in (self.T.fields or {}).items()]

    def field(self, name: str) -> tuple[int, Any]:
        if self.T.fields is None:
            raise TypeError(f"{self} has no fields")
        if name not in self.T.fields:
            raise AttributeError(f"{self} has no field {name!r}")
        dtype, offset = self.T.fields[name][:2]
        return offset, dtype

    def item(self) -> tuple[Any, int]:
        if self.T.subdtype is None:
            raise TypeError(f"{self} is no array")
        base, shape = self.T.subdtype
        return (np.dtype((base, shape[1:])) if shape[1:] else base), shape[0]


def _covered(dtype: Any) -> Any:
    """Which bytes of one element belong to a value."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.tile(_covered(base), int(np.prod(shape)))
    covered = np.full(dtype.itemsize, dtype.fields is None)
    for field, offset, *_ in (dtype.fields or {}).values():
        covered[offset : offset + field.itemsize] |= _covered(field)
    return covered


def _refuse(dtype: Any) -> None:
    """`TypeError` if a value of the dtype could hold a pointer of the host's or make numpy fail."""
    if dtype.hasobject:
        raise TypeError(f"{dtype!r} holds objects of the host")
    if dtype.subdtype is not None:
        _refuse(dtype.subdtype[0])
    elif dtype.fields is not None:
        for entry in dtype.fields.values():
            _refuse(entry[0])
    elif dtype.kind == "U":
        raise TypeError(f"{dtype!r}: not every value of it is text, use bytes or '<u4'")
