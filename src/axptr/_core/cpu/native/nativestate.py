"""The registers of a guest on the host's CPU.

While it is not the guest's turn the general registers are here. The vector state (x87, SSE, AVX, what else the CPU has)
lies in the frame of the signal that handed over, where the host's kernel put it and takes it from, and is looked at
there: an XSAVE area of the standard format (Intel SDM vol. 1, 13.4). While there is no stub it is kept as `image`.

Not here: where frames come from (`stub`), running (`native`).

Failure: `AttributeError` for an unknown name, `TypeError` for no integer, `OverflowError` for one that does not fit,
`ValueError` for a state that no program on this CPU can be in. Nothing has changed then.
"""

import cython
from cython.cimports.axptr._core.cpu.native.nativestate import R_RFLAGS, R_RSP
from cython.cimports.axptr._core.cpu.native.stub import GENERAL, R_RIP, R_SEGMENTS, Segments, Stub
from cython.cimports.axptr._core.cpu.running import RunningCpu
from cython.cimports.axptr._core.cpu.x86.x86regs import is_loadable, register_bits
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset

from axptr._core.cpu.x86 import x86regs
from axptr.errors import GuestLost

_segments = cython.declare(uint64_t, 0x002B_0000_0000_0033)  # cs, gs, fs, ss
_of_32_bits = cython.declare(uint64_t, 0x10)  # less of cs
_user_flags = cython.declare(uint64_t, 0x25_0DD5)  # of rflags: what a program, or its debugger (RF), may change
_fixed_flags = cython.declare(uint64_t, 0x202)

# XSAVE: the components and where the legacy region has them.
_X87, _SSE = cython.declare(cython.int, 1), cython.declare(cython.int, 2)
_HEADER = cython.declare(cython.int, 512)

_general = dict(
    zip(
        ["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx", "rsp"]
        + ["rip", "rflags"],
        range(18),
        strict=True,
    )
)
parts = x86regs.parts
_names = cython.declare(set, {*x86regs.names, *parts})
_of_a_call = cython.declare(set, {"rax", "rdi", "rsi", "rdx", "r10", "r8", "r9", "rip"})
_order = cython.declare(cython.int[15])  # of user_regs_struct, as places in regs_
for _i, _name in enumerate(
    ["r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"]
):
    _order[_i] = _general[_name]


@cython.no_gc_clear
@cython.cclass
class NativeState(RunningCpu):
    """The registers alone. `NativePages` derives from it; nobody else should."""

    def __cinit__(self):
        self.regs_[R_RFLAGS] = _fixed_flags

    def surface(self):
        """The guest waits in a call, which has been made: all registers are here. -1: they are lost."""
        self.in_call = False
        return self.stub.surface(self.regs_, cython.address(self.segments))

    def bring_out(self):
        """All registers are here, or `lost`. Others may run meanwhile: whoever stopped the process may let it go on."""
        failed: cython.int
        if self.in_call:
            with cython.nogil:
                failed = self.surface()
            if failed < 0:
                self.lost = True

    def need_all(self):
        """A call shows its number and arguments and where it was made. Whoever wants more has to have the rest brought
        out. Raises `GuestLost` where that cannot be done any more."""
        self.bring_out()
        if self.lost:
            raise GuestLost("the guest's process was ended from outside: its registers are lost")
        return 0

    def bring_in(self):
        """The frame as the guest is to find it, whatever it has written there: segments, mask and the place of the
        vector state too."""
        memcpy(self.stub.frame, self.regs_, GENERAL * 8)
        self.stub.frame[R_SEGMENTS] = _segments - _of_32_bits * self.segments.narrow
        self.stub.frame[23] = self.stub.s.channel.vectors
        self.stub.frame[32] = 0  # uc_sigmask
        self.stub.s.channel.fs_base = self.segments.fs_base
        self.stub.s.channel.gs_base = self.segments.gs_base
        self.stub.s.channel.selectors = self.segments.selectors

    def state(self, component):
        """The XSAVE area, for writing; `component` is said to be in use and was in its first state if it was not."""
        area: cython.pointer(uint8_t)
        header: cython.pointer(uint64_t)
        self.need_all()
        if self.stub is not None and self.stub.vectors != cython.NULL:
            area = self.stub.vectors
        else:
            if self.image is None:
                self.image = first_image()
            area = cython.cast(cython.pointer(uint8_t), cython.cast(cython.p_char, self.image))
        header = cython.cast(cython.pointer(uint64_t), area + _HEADER)
        if component & ~header[0]:
            if component & ~header[0] & _X87:
                memset(area, 0, 24)
                memset(area + 32, 0, 128)
                cython.cast(cython.pointer(uint16_t), area)[0] = 0x37F
            if component & ~header[0] & _SSE:
                memset(area + 160, 0, 256)
            header[0] |= component
        return area

    def get_register(self, name):
        self.check_mine()
        name = parts.get(name, name)
        number = _general.get(name)
        if not self.in_call or name not in _of_a_call:
            self.need_all()
        if number is not None:
            return self.regs_[cython.cast(cython.int, number)]
        if name == "fs_base":
            return self.segments.fs_base
        if name == "gs_base":
            return self.segments.gs_base
        area: cython.pointer(uint8_t)
        at: cython.int
        if name not in _names:
            raise AttributeError(f"no x86-64 register is called {name!r}")
        if name.startswith("xmm"):
            area = self.state(_SSE)
            at = 160 + 16 * int(name[3:])
            return int.from_bytes(cython.cast(cython.p_char, area)[at : at + 16], "little")
        if name == "mxcsr":
            area = self.state(_SSE)
            return cython.cast(cython.pointer(uint32_t), area)[6]
        area = self.state(_X87)
        if name == "fpcw":
            return cython.cast(cython.pointer(uint16_t), area)[0]
        if name == "fpsw":
            return cython.cast(cython.pointer(uint16_t), area)[1]
        if name == "fptag":
            return _full_tags(cython.cast(cython.p_char, area)[:160])
        at = 32 + 16 * int(name[2:])
        return int.from_bytes(cython.cast(cython.p_char, area)[at : at + 10], "little")

    def set_register(self, name, value):
        self.check_mine()
        name = parts.get(name, name)
        number = _general.get(name)
        bits: uint64_t
        area: cython.pointer(uint8_t)
        size: cython.int
        at: cython.int
        if not self.in_call or name != "rax":
            self.need_all()
        if number is not None:
            bits = register_bits(value)
            if name == "rflags":
                bits = (bits & _user_flags) | _fixed_flags
            self.regs_[cython.cast(cython.int, number)] = bits
            return 0
        if name == "fs_base":
            self.segments.fs_base = register_bits(value)
            return 0
        if name == "gs_base":
            self.segments.gs_base = register_bits(value)
            return 0
        if name not in _names:
            raise AttributeError(f"no x86-64 register is called {name!r}")
        component: cython.int = _X87
        if name.startswith("xmm"):
            component, at, size = _SSE, 160 + 16 * int(name[3:]), 16
        elif name == "mxcsr":
            component, at, size = _SSE, 24, 4
        elif name == "fpcw":
            at, size = 0, 2
        elif name == "fpsw":
            at, size = 2, 2
        elif name == "fptag":
            at, size = 4, 2
        else:
            at, size = 32 + 16 * int(name[2:]), 10
        limit: object = 1 << 128 if size == 16 else 1 << 80 if size == 10 else 1 << 32 if size == 4 else 1 << 16
        if size < 10 and value < 0:
            value = register_bits(value)
        if not 0 <= value < limit:
            raise OverflowError(f"{value} does not fit the {8 * size} bits of {name}")
        if name == "fptag":
            value = sum(1 << i for i in range(8) if value >> 2 * i & 3 != 3)
        elif name == "mxcsr":
            value &= 0xFFFF
        raw: bytes = int(value).to_bytes(size, "little")
        area = self.state(component)
        memcpy(area + at, cython.cast(cython.p_char, raw), size)
        return 0

    def _take(self):
        """All registers: user_regs_struct and the XSAVE area, as Linux hands them to debuggers."""
        self.check_mine()
        self.need_all()
        return user_regs(self.regs_, cython.address(self.segments)), self.xstate

    def _put(self, general: bytes, extended: bytes):
        """Put back what `_take` gave, of this engine or another. `ValueError` for what no program can have."""
        self.check_mine()
        r: cython.pointer(uint64_t) = self.regs_
        words = cython.cast(cython.pointer(uint64_t), cython.cast(cython.p_char, general))
        i: cython.int
        if len(general) != 27 * 8:
            raise ValueError(f"the general registers of x86-64 have {27 * 8} bytes, not {len(general)}")
        for i in range(4):
            if not is_loadable(words[23 + i]):
                raise ValueError(f"no program can load the selector {words[23 + i]:#x}")
        if words[17] not in (0x33, 0x23) or words[20] != 0x2B:
            raise ValueError("a program has cs 0x33, or 0x23 in the mode of 32 bits, and ss 0x2b")
        self.xstate = extended
        self.lost = False
        self.pending = 0
        for i in range(15):
            r[_order[i]] = words[i]
        r[R_RIP], r[R_RSP] = words[16], words[19]
        r[R_RFLAGS] = (words[18] & _user_flags) | _fixed_flags
        self.segments.fs_base, self.segments.gs_base = words[21], words[22]
        self.segments.narrow = words[17] == 0x23
        self.segments.selectors = words[23] | words[24] << 16 | words[25] << 32 | words[26] << 48

    @property
    def narrow(self):
        """Whether the guest has switched its CPU to the mode of 32 bits (by a far jump to cs 0x23): other instructions
        than of 64, and addresses of 4 bytes."""
        return self.segments.narrow != 0

    @property
    def xstate(self):
        """x87, SSE, AVX and what else the CPU has: an XSAVE area of the standard format, as in a signal's frame of the
        host: what the kernel notes in it (struct _fpx_sw_bytes) is there, its end mark (4 bytes) is not.

        Set, it may be an FXSAVE image (512 bytes) too. `ValueError` for a state that this CPU cannot be in.
        """
        self.check_mine()
        self.need_all()
        if self.stub is not None and self.stub.vectors != cython.NULL:
            return cython.cast(cython.p_char, self.stub.vectors)[: extent_of(self.stub)]
        return self.image if self.image is not None else first_image()

    @xstate.setter
    def xstate(self, image):
        self.check_mine()
        raw: bytes = bytes(image)
        if len(raw) != 512 and len(raw) < 576:
            raise ValueError(f"{len(raw)} bytes are neither an FXSAVE image nor an XSAVE area")
        features = (1 << 64) - 1 if self.stub is None else _features(self.stub)  # without one it is said by the next
        if len(raw) > 512 and (any(raw[520:576]) or int.from_bytes(raw[512:520], "little") & ~features):
            raise ValueError("the state has parts that this CPU has not")
        if int.from_bytes(raw[24:28], "little") > 0xFFFF:
            raise ValueError("mxcsr has bits that no CPU has")
        self.bring_out()
        if self.stub is not None and self.stub.vectors != cython.NULL:
            put_vectors(self.stub, raw)
        else:
            self.image = raw if len(raw) > 512 else raw + (3).to_bytes(8, "little") + bytes(56)

    def reset(self):
        """All registers as the kernel hands them to a new program: zero, flags and control words at their defaults."""
        self.check_mine()
        self.xstate = first_image()
        self.lost = False
        self.pending = 0
        memset(self.regs_, 0, cython.sizeof(self.regs_))
        self.regs_[R_RFLAGS] = _fixed_flags
        memset(cython.address(self.segments), 0, cython.sizeof(self.segments))


@cython.cfunc
def user_regs(regs: cython.pointer(uint64_t), segments: cython.pointer(Segments)) -> bytes:
    """user_regs_struct, as Linux hands it to debuggers."""
    words: uint64_t[27]
    i: cython.int
    memset(words, 0, cython.sizeof(words))
    for i in range(15):
        words[i] = regs[_order[i]]
    words[15] = 0xFFFF_FFFF_FFFF_FFFF
    words[16], words[18], words[19] = regs[R_RIP], regs[R_RFLAGS], regs[R_RSP]
    words[17], words[20] = 0x23 if segments.narrow else 0x33, 0x2B
    words[21], words[22] = segments.fs_base, segments.gs_base
    for i in range(4):
        words[23 + i] = segments.selectors >> 16 * i & 0xFFFF
    return cython.cast(cython.p_char, words)[: cython.sizeof(words)]


@cython.cfunc
def extent_of(stub: Stub) -> object:
    """How many bytes the XSAVE area has, as the host's kernel notes in it (fpx_sw_bytes)."""
    size: uint32_t = 0
    magic: uint32_t = cython.cast(cython.pointer(uint32_t), stub.vectors + 464)[0]
    if magic == 0x46505853:
        size = cython.cast(cython.pointer(uint32_t), stub.vectors + 480)[0]
    if size < 576 or size > stub.vectors_size:
        size = 576 if stub.vectors_size >= 576 else 512
    return size


@cython.cfunc
def _features(stub: Stub) -> object:
    """The parts of the vector state that there are, as the host's kernel notes them in a frame."""
    if stub.vectors == cython.NULL:
        return 3
    features: uint64_t = cython.cast(cython.pointer(uint64_t), stub.vectors + 472)[0]
    return features


@cython.cfunc
@cython.exceptval(-1, check=False)
def put_vectors(stub: Stub, image: bytes) -> cython.int:
    """An FXSAVE image or an XSAVE area into the frame; the kernel's notes in the frame stay."""
    area: cython.pointer(uint8_t) = stub.vectors
    source = cython.cast(cython.pointer(uint8_t), cython.cast(cython.p_char, image))
    size: cython.ssize_t = min(cython.cast(cython.ssize_t, len(image)), cython.cast(cython.ssize_t, extent_of(stub)))
    memcpy(area, source, 464)
    if size > 576:
        memcpy(area + 512, source + 512, size - 512)
    else:
        memset(area + 512, 0, 64)
        cython.cast(cython.pointer(uint64_t), area + 512)[0] = 3
        if size == 576:
            memcpy(area + 512, source + 512, 8)
    return 0


@cython.cfunc
def first_image() -> bytes:
    """An XSAVE area in which every component is in its first state."""
    image = bytearray(576)
    image[0:2] = (0x37F).to_bytes(2, "little")
    image[24:28] = (0x1F80).to_bytes(4, "little")
    return bytes(image)


def _full_tags(area):
    """The x87 tag word (2 bits a register, in the order of registers) of an FXSAVE area, which has one bit each."""
    top = int.from_bytes(area[2:4], "little") >> 11 & 7
    tags = 0
    for physical in range(8):
        tag = 3
        if area[4] >> physical & 1:
            at = 32 + 16 * ((physical - top) & 7)
            mantissa, exponent = (
                int.from_bytes(area[at : at + 8], "little"),
                int.from_bytes(area[at + 8 : at + 10], "little"),
            )
            exponent &= 0x7FFF
            if exponent == 0x7FFF or (exponent and not mantissa >> 63) or (not exponent and mantissa):
                tag = 2
            else:
                tag = 1 if not exponent and not mantissa else 0
        tags |= tag << 2 * physical
    return tags
