"""`AddressForm`: a user pointer as a T of its own, as wide and in the order in which a data model stores it.

Not here: which model that is (`foreign`), pointers whose type is known later (`later`), members (`members`).
"""

from __future__ import annotations

import ctypes

from axptr.addr import checked_address

from .base import Form

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from axptr.model import DataModel

    from .base import Number


class AddressForm(Form):
    """A user pointer type as the model has it: `target` makes the pointers that are read."""

    address = True

    def __init__(self, T: Any, target: Any, model: DataModel) -> None:
        self.T = T
        self.size = self.align = model.pointer
        self.target = target
        self._order: Literal["little", "big"] = model.order

    @property
    def number(self) -> Number:
        return self._order, False

    def load(self, blob: bytes) -> Any:
        return self.target(int.from_bytes(blob, self._order))

    def dump(self, value: Any) -> bytes:
        return self.number_for(value).to_bytes(self.size, self._order)

    def number_for(self, value: Any) -> int:
        """The address that a pointer, an integer or None (NULL) is. `OverflowError` if it is wider than a pointer."""
        number = 0 if value is None else checked_address(value)
        if number >> (8 * self.size):
            raise OverflowError(f"{number:#x} does not fit in a pointer of {self.size} bytes")
        return number

    @property
    def as_member(self) -> Any:
        """The type of a member of this form, for whoever asks for a pointer to it."""
        native = self.size == 8 and self._order == "little"
        return self.target if self.target.model is not None or native else self

    def live(self, view: memoryview) -> Any:
        """A number, as the live form of a pointer is one of the host's too."""
        return self.word.from_buffer(view)

    def live_many(self, view: memoryview, n: int) -> Any:
        return view if view.readonly else (self.word * n).from_buffer(view)

    @property
    def word(self) -> Any:
        """The ctypes number that lies in memory just so."""
        word = ctypes.c_uint32 if self.size == 4 else ctypes.c_uint64
        return word.__ctype_be__ if self._order == "big" else word.__ctype_le__
