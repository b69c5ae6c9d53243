"""What of the outside may be reached: `--net` and `--allow-net`, as they were said when the machine was made.

| net | the loopback | the outside |
| --- | --- | --- |
| `none` | is down: no address is there, 127.0.0.1 is ENETUNREACH too | nothing |
| `loopback` (the default) | the machine's own | what is allowed by name, by sockets of the host that connect |
| `host` | the host's | everything, or what is allowed by name where something is; binding and listening too |

`none` is what a container without a network has, a name space whose loopback is down: programs that only make a socket
(to ask of interfaces, say) go on, which EAFNOSUPPORT would stop. Names are resolved once, by us, when the machine is
made; what a program says is judged by address and port, on the copy that the host's call is then made with.
"""

from __future__ import annotations

from .address import is_loopback, unmapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KINDS = ("none", "loopback", "host")


class Allowed:
    """One that may be reached: addresses that begin with the first `bits` of `ip`; port: None for any."""

    __slots__ = ("_bits", "_ip", "_port")

    def __init__(self, ip: bytes, bits: int, port: int | None) -> None:
        self._ip, self._bits, self._port = ip, bits, port

    @property
    def loopback(self) -> bool:
        """Whether nothing but the loopback is meant."""
        return is_loopback(self._ip) and self._bits >= 8

    def covers(self, ip: bytes, port: int) -> bool:
        if len(ip) != len(self._ip) or self._port not in (None, port):
            return False
        shift = 8 * len(ip) - self._bits
        return int.from_bytes(ip, "big") >> shift == int.from_bytes(self._ip, "big") >> shift


class Policy:
    """kind: one of KINDS. allowed: what may be reached, empty for nothing by name.
    judge: asked of what may be, whether the user's rules have it so; refused: told of what may not (`linux.policy`)."""

    def __init__(self, kind: str = "loopback", allowed: tuple[Allowed, ...] = ()) -> None:
        self.kind = kind
        self.allowed = allowed
        self.judge: Callable[[bytes, int], bool] | None = None
        self.refused: Callable[[bytes, int], object] | None = None

    @property
    def listens(self) -> bool:
        """Whether a program may bind and listen on the host."""
        return self.kind == "host"

    @property
    def outside(self) -> bool:
        """Whether there is anything outside."""
        return self.kind == "host" or bool(self.allowed)

    def allows(self, ip: bytes, port: int) -> bool:
        """Whether a place of the outside may be reached."""
        ip = unmapped(ip)
        if self._has(ip, port):
            return self.judge is None or self.judge(ip, port)
        if self.refused is not None:
            self.refused(ip, port)
        return False

    def _has(self, ip: bytes, port: int) -> bool:
        if self.kind == "host" and not self.allowed:
            return True
        if self.kind != "host" and is_loopback(ip):
            return False  # which is the machine's own
        return any(one.covers(ip, port) for one in self.allowed)


def parse(kind: object, rules: Iterable[str], resolve: Callable[[str], list[bytes]]) -> Policy:
    """The policy of `--net` and the `HOST[:PORT]` of `--allow-net`; resolve: the addresses of a name.

    HOST is a name, an address, `[an address of IPv6]`, or either with `/BITS`. `ValueError` for what makes no sense.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no net {kind!r}: {', '.join(KINDS)}")
    allowed: list[Allowed] = []
    for rule in rules:
        if kind == "none":
            raise ValueError(f"{rule}: nothing can be allowed where there is no network")
        allowed += parse_rule(rule, resolve)
    if kind == "loopback" and any(one.loopback for one in allowed):
        raise ValueError("the loopback is the machine's own: the host's is reached with net host only")
    return Policy(str(kind), tuple(allowed))


def parse_rule(rule: str, resolve: Callable[[str], list[bytes]]) -> list[Allowed]:
    """What `HOST[:PORT]` stands for. `ValueError`."""
    host = rule
    port: int | None = None
    if rule.startswith("["):
        host, bracket, rest = rule[1:].partition("]")
        if not bracket:
            raise ValueError(f"{rule}: a ] is missing")
        if rest.startswith("/"):
            suffix, colon, after = rest.partition(":")
            host, rest = host + suffix, colon + after
        if rest:
            port = _port(rule, rest.removeprefix(":") if rest[0] == ":" else "")
    elif rule.count(":") == 1:
        host, _, text = rule.partition(":")
        port = _port(rule, text)
    host, slash, length = host.partition("/")
    found = [ip for ip in (_numeric(host),) if ip is not None] or ([] if slash else resolve(host))
    if not found:
        raise ValueError(f"{rule}: no address is known of {host!r}")
    made = []
    for ip in found:
        bits = 8 * len(ip)
        if slash:
            if not (length.isascii() and length.isdigit() and int(length) <= bits):
                raise ValueError(f"{rule}: {length!r} is no number of bits")
            bits = int(length)
        made.append(Allowed(ip, bits, port))
    return made


def _port(rule: str, text: str) -> int | None:
    if text == "*":
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 16):
        raise ValueError(f"{rule}: {text!r} is no port")
    return int(text)


def _numeric(host: str) -> bytes | None:
    """The bytes of an address that is written as numbers."""
    from ipaddress import ip_address

    try:
        return unmapped(ip_address(host).packed)
    except ValueError:
        return None
