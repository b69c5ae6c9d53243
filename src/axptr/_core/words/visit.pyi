from collections.abc import Callable
from typing import Any

def visited(provider: Any, work: Callable[[Any], Any]) -> Any: ...
