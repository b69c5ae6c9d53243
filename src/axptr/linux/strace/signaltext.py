"""Signals as strace writes them: masks, actions, siginfo. Source: strace's signal.c, printsiginfo.c."""

from __future__ import annotations

import struct

from ..abi import signals as abi
from . import constants as names
from .decode import Call, pointer, stored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..abi.signals import Info

_REAL_TIME = 32
_MOST = 32
"""Of a mask with more signals than that those are named that it lacks."""
_SHORT = {number: name.removeprefix("SIG") for number, name in names.SIGNALS.items() if number < _REAL_TIME}
_SI_CODE = {
    abi.SIGCHLD: names.table(
        "CLD_EXITED=1 CLD_KILLED=2 CLD_DUMPED=3 CLD_TRAPPED=4 CLD_STOPPED=5 CLD_CONTINUED=6"
    ),
}  # fmt: skip
_SI_ANY = names.table(
    "SI_QUEUE=-1 SI_TIMER=-2 SI_MESGQ=-3 SI_ASYNCIO=-4 SI_SIGIO=-5 SI_TKILL=-6 SI_USER=0 SI_KERNEL=128"
)
_POLL = 29


def signal_name(number: int) -> str:
    """`SIGCHLD`, `SIGRT_3`."""
    if number < _REAL_TIME:
        return names.SIGNALS.get(number, str(number))
    return "SIGRTMIN" if number == _REAL_TIME else f"SIGRT_{number - _REAL_TIME}"


def mask_text(mask: int) -> str:
    """`[INT CHLD]`, `~[KILL STOP]`."""
    inverted = mask.bit_count() > _MOST
    shown = ~mask if inverted else mask
    listed = [_short(n) for n in range(1, 65) if shown >> (n - 1) & 1]
    return ("~" if inverted else "") + f"[{' '.join(listed)}]"


def _short(number: int) -> str:
    if number < _REAL_TIME:
        return _SHORT.get(number, str(number))
    return "RTMIN" if number == _REAL_TIME else f"RT_{number - _REAL_TIME}"


def given_mask(call: Call, value: int) -> str:
    data = call.bytes_at(value, 8) if value else b""
    return mask_text(int.from_bytes(data, "little")) if len(data) == 8 else pointer(call, value)


@stored
def told_mask(call: Call, value: int) -> str:
    return pointer(call, value) if call.failed else given_mask(call, value)


def given_action(call: Call, value: int) -> str:
    """`struct sigaction` as the kernel has it."""
    data = call.bytes_at(value, 32) if value else b""
    if len(data) < 32:
        return pointer(call, value)
    handler, flags, restorer, mask = struct.unpack("<QQQQ", data)
    name = names.SIG_HANDLER.get(handler, f"{handler:#x}")
    after = f", sa_restorer={pointer(call, restorer)}" if flags & abi.SA_RESTORER else ""
    shown = names.flag_names(flags, names.SIGACTION)
    return f"{{sa_handler={name}, sa_mask={mask_text(mask)}, sa_flags={shown}{after}}}"


@stored
def told_action(call: Call, value: int) -> str:
    return pointer(call, value) if call.failed else given_action(call, value)


def fields(info: Info) -> dict[str, str]:
    """siginfo by the names of its members, as far as this kind of signal has them."""
    signal, code = info.signal, info.code
    told = {"si_signo": signal_name(signal), "si_code": code_name(signal, code)}
    raw = info.pack()
    if code == abi.SI_TIMER:
        timer, overrun, value = struct.unpack_from("<iiQ", raw, 16)
        return told | {"si_timerid": f"{timer:#x}" if timer else "0", "si_overrun": str(overrun)} | _value(value)
    if code <= 0:  # of a process
        pid, uid, value = struct.unpack_from("<iIQ", raw, 16)
        told |= {"si_pid": str(pid), "si_uid": str(uid)}
        return told | (_value(value) if code not in (abi.SI_USER, abi.SI_TKILL) else {})
    if code == abi.SI_KERNEL and info.address is None:
        return told
    if signal == abi.SIGCHLD:
        pid, uid, status, user, system = struct.unpack_from("<iIi4xqq", raw, 16)
        told |= {"si_pid": str(pid), "si_uid": str(uid)}
        told["si_status"] = str(status) if code == abi.CLD_EXITED else signal_name(status)
        return told | {"si_utime": str(user), "si_stime": str(system)}
    if signal == _POLL:
        band, descriptor = struct.unpack_from("<qi", raw, 16)
        return told | {"si_band": str(band), "si_fd": str(descriptor)}
    (address,) = struct.unpack_from("<Q", raw, 16)
    return told | {"si_addr": f"{address:#x}" if address else "NULL"}


def _value(value: int) -> dict[str, str]:
    low = value & 0xFFFF_FFFF
    return {"si_int": str(low - (low >> 31 << 32)), "si_ptr": f"{value:#x}" if value else "NULL"}


def code_name(signal: int, code: int) -> str:
    """`CLD_EXITED`, `SEGV_MAPERR`."""
    if code > 0:
        own = _SI_CODE.get(signal)
        if own is not None and code in own:
            return own[code]
        return names.signal_code(signal, code)
    return _SI_ANY.get(code, str(code))


def info_text(info: Info) -> str:
    """`{si_signo=SIGCHLD, ...}`."""
    return "{" + ", ".join(f"{name}={text}" for name, text in fields(info).items()) + "}"
