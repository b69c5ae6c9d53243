from axptr.pointers.provider import AddrSpaceProvider

def gather(
    provider: AddrSpaceProvider, pointers: tuple[int, ...], first: int, most: int, left: int, strings: list[bytes]
) -> int: ...
