from typing import Any, Self

from axptr.errors import UserFault
from axptr.flags import MappingFlags

class Copied(int):
    fault: UserFault
    def __new__(cls, done: int, fault: UserFault) -> Self: ...

def partial(provider: Any, start: int, buf: Any, access: MappingFlags) -> tuple[int, UserFault | None]: ...
