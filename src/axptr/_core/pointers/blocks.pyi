from typing import Any

from axptr.errors import UserFault
from axptr.flags import MappingFlags

def partial(provider: Any, start: int, buf: Any, access: MappingFlags) -> tuple[int, UserFault | None]: ...
