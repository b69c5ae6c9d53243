from collections.abc import Callable
from typing import Any

from axptr._core.words.conversion import Bound

STAT: int
LSTAT: int
NEWFSTATAT: int
STATX: int
FSTAT: int
GETXATTR: int
LGETXATTR: int
LISTXATTR: int
LLISTXATTR: int
PLAIN: int
AT: int

class FileCall(Bound):
    plain: Bound
    def __init__(self, plain: Bound, form: int) -> None: ...

class StatusCall(FileCall):
    def __init__(self, plain: Bound, form: int, opened: type) -> None: ...

class XattrCall(FileCall): ...
class ReadlinkCall(FileCall): ...
class AccessCall(FileCall): ...

class OpenCall(FileCall):
    def __init__(
        self,
        plain: Bound,
        form: int,
        made: Callable[..., Any],
        plain_flags: int,
        kept_flags: int,
    ) -> None: ...
