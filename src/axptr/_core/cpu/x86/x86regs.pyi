names: tuple[str, ...]
parts: dict[str, str]
