from typing import Any, Generic, TypeVar

from axptr.flags import MappingFlags
from axptr.model import DataModel

T_co = TypeVar("T_co", covariant=True)

class PointerType(Generic[T_co]):
    """What `UserPtr[T]` and `UserConstPtr[T]` are when the program runs."""

    T: Any
    const: bool
    size: int
    align: int
    ACCESS_FLAGS: MappingFlags
    model: DataModel | None
    def __call__(self, address: int, /) -> Any: ...
    def to(self, T: Any) -> PointerType[Any]: ...
    def __mul__(self, n: int) -> Any: ...
    def under(self, model: DataModel) -> PointerType[T_co]: ...
