"""`UserFile`: a range of user memory as a raw binary file, for whatever reads and writes files.

`io.BufferedReader(UserFile(...))`, `shutil.copyfileobj`, `pickle.load`, `struct` and the rest go through the same
checked copies as pointers. Reading needs READ alone, writing WRITE alone.

Not here: growing (a range is as long as it is), text (`io.TextIOWrapper` does that), reading each byte once
(`userslice`).

Failure: `UserFault` at a byte that cannot be touched, once the bytes before it were given as a short count, as read(2)
does; `LinuxError(ENOSPC)` for a write at the end, as block devices do; EINVAL for a seek to before the start.
"""

from __future__ import annotations

import errno
import io
import operator

from .._core.pointers.blocks import partial
from .._core.words.budget import charge
from .._core.words.buffers import flat
from ..addr import ADDRESS_END, checked_address, checked_size
from ..errors import LinuxError
from ..flags import MappingFlags
from .copying import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, SupportsIndex

    from .provider import AddrSpaceProvider

_MODES = {"r": (True, False), "w": (False, True), "r+": (True, True)}


class UserFile(io.RawIOBase):
    """`size` bytes of user memory at `address` (an integer or a pointer) as a raw file.

    mode: "r", "w" (nothing is emptied) or "r+". The range is cut at 2**64. Nothing is checked before it is touched.
    As of every raw file, a `write` may be short: who ignores its count, as `pickle.dump` and `shutil.copyfileobj` do,
    wants an `io.BufferedWriter` around it to hear of a bad byte or the end.
    """

    def __init__(self, provider: AddrSpaceProvider, address: SupportsIndex, size: int, mode: str = "r+") -> None:
        if not hasattr(provider, "with_addr_space"):
            raise TypeError(f"want an AddrSpaceProvider, not {type(provider).__name__}")
        if not isinstance(mode, str):
            raise TypeError(f"mode must be a str, not {type(mode).__name__}")
        if mode not in _MODES:
            raise ValueError(f"mode {mode!r} is none of {', '.join(_MODES)}")
        self._address = checked_address(address)
        self._size = min(checked_size(size), ADDRESS_END - self._address)
        self._provider = provider
        self._read, self._write = _MODES[mode]
        self._at = 0

    def readable(self) -> bool:
        self._demand_open()
        return self._read

    def writable(self) -> bool:
        self._demand_open()
        return self._write

    def seekable(self) -> bool:
        self._demand_open()
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from the position on; bytes done, 0 at the end, fewer than asked for before a bad byte.

        Raises `UserFault` if the first byte cannot be read.
        """
        self._demand(self._read, "reading")
        return self._copy(flat(buffer), MappingFlags.READ)

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes, all that are left if it is negative or None; fewer at the end or before a bad byte.

        Held in pieces as they are read: a size that a guest gave is never allocated. Raises as `readinto`.
        """
        self._demand(self._read, "reading")
        left = max(0, self._size - self._at)
        want = left if size is None or size < 0 else min(size, left)
        charge(self._provider, want)
        data = bytearray()
        try:
            while len(data) < want:
                piece = bytearray(min(CHUNK, want - len(data)))
                try:
                    got = self._copy(memoryview(piece), MappingFlags.READ)
                except LinuxError:
                    if data:
                        break  # the next call starts with it
                    raise
                data += piece[:got]
                if got < len(piece):
                    break
            return bytes(data)
        except MemoryError:
            raise LinuxError(errno.ENOMEM, f"the host has no room for {want} bytes") from None

    def readall(self) -> bytes:
        """All that is left: `read()`."""
        return self.read()

    def write(self, data: Any) -> int:
        """Store the buffer from the position on; bytes done, fewer at the end or before a bad byte.

        Raises `UserFault` if the first byte cannot be written, `LinuxError(ENOSPC)` if there is none.
        """
        self._demand(self._write, "writing")
        view = flat(data)
        if len(view) and self._at >= self._size:
            raise LinuxError(errno.ENOSPC, f"the {self._size} bytes at {self._address:#x} are full")
        return self._copy(view, MappingFlags.WRITE)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to `offset` bytes from the start, the position or the end; past the end is allowed. The new position."""
        self._demand_open()
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}.get(whence)
        if base is None:
            raise LinuxError(errno.EINVAL, f"whence {whence} is none of 0, 1, 2")
        goal = base + operator.index(offset)
        if goal < 0:
            raise LinuxError(errno.EINVAL, f"position {goal} is before the start")
        self._at = goal
        return goal

    def tell(self) -> int:
        """The position, in bytes from the start."""
        self._demand_open()
        return self._at

    def _copy(self, view: memoryview, access: MappingFlags) -> int:
        size = min(len(view), max(0, self._size - self._at))
        if size == 0:
            return 0
        done, fault = partial(self._provider, self._address + self._at, view[:size], access)
        if fault is not None and done == 0:
            raise fault
        self._at += done
        return done

    def _demand_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def _demand(self, allowed: bool, what: str) -> None:
        self._demand_open()
        if not allowed:
            raise io.UnsupportedOperation(f"not open for {what}")

    def __repr__(self) -> str:
        return f"<UserFile {self._size} bytes at {self._address:#x}>"


__all__ = ["UserFile"]
