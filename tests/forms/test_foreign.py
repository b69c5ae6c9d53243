"""Types as data models have them: layouts and bytes against those of gcc for i386, and values of the host's types."""

from __future__ import annotations

import ctypes
import enum
import io
import pickle
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from axptr import (
    I386,
    ILP32,
    ILP32_BIG,
    LP64,
    LP64_BIG,
    AddrSpace,
    DataModel,
    Layout,
    LinuxError,
    MappingFlags,
    UserPtr,
    enum_type,
)
from axptr.forms.foreign import converted, under
from axptr.model import checked_model

BASE = 0x100000
char, u8, u16, u32, u64 = ctypes.c_char, ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64
NAMES: dict[Any, str] = {
    u8: "unsigned char", u16: "unsigned short", u32: "unsigned int", u64: "unsigned long long",
    ctypes.c_int64: "long long", ctypes.c_float: "float", ctypes.c_double: "double", ctypes.c_void_p: "void *",
}  # fmt: skip
CODES = {u8: "B", u16: "H", u32: "I", u64: "Q", ctypes.c_int64: "q", ctypes.c_float: "f", ctypes.c_double: "d"}
CODES[ctypes.c_void_p] = "P"


class Case:
    """A structure as ctypes and C declare it, an instance of it, and the same as C's initialiser."""

    def __init__(self, seed: int, earlier: list[Case]) -> None:
        draw = random.Random(seed)
        self.name = f"S{seed}"
        union = draw.random() < 0.15
        pack = draw.choice([0] * 8 + [1, 2, 8])
        fields: list[Any] = []
        lines, values, self.code = [], [], ""
        for i in range(draw.randint(1, 6)):
            kind = draw.random()
            if kind < 0.2 and earlier:
                inner = draw.choice(earlier)
                fields.append((f"f{i}", inner.T))
                lines.append(f"struct {inner.name} f{i};".replace("struct", inner.keyword))
                values.append((inner.value, inner.text))
                self.code += "?"
                continue
            T = draw.choice(list(NAMES))
            number = draw.randint(1, 0x7F)
            if kind < 0.4 and T in (u8, u16, u32) and not pack:
                bits = draw.randint(1, 8 * ctypes.sizeof(T))
                fields.append((f"f{i}", T, bits))
                lines.append(f"{NAMES[T]} f{i} : {bits};")
                number &= (1 << bits) - 1
                values.append((number, str(number)))
                self.code += "?"
            elif kind < 0.6:
                n = draw.randint(1, 3)
                fields.append((f"f{i}", T * n))
                lines.append(f"{NAMES[T]} f{i}[{n}];")
                cast = "(void *)" if T is ctypes.c_void_p else ""
                values.append(((T * n)(*[number] * n), "{" + ", ".join([cast + str(number)] * n) + "}"))
                self.code += f"{n}{CODES[T]}"
            else:
                fields.append((f"f{i}", T))
                lines.append(f"{NAMES[T]} f{i};")
                values.append((number, ("(void *)" if T is ctypes.c_void_p else "") + str(number)))
                self.code += CODES[T]
        self.plain = "?" not in self.code and not pack and not union
        self.union, self.pack, self.keyword = union, pack, "union" if union else "struct"
        members = {"_fields_": fields, **({"_pack_": pack} if pack else {})}
        self.T: Any = type(self.name, (ctypes.Union if union else ctypes.Structure,), members)
        self.value = self.T()
        chosen = values[:1] if union else values
        for (name, *_), (value, _) in zip(fields, chosen, strict=False):
            setattr(self.value, name, value)
        self.text = "{" + ", ".join(text for _, text in chosen) + "}"
        packing = f"#pragma pack(push, {pack})\n" if pack else ""
        popping = "#pragma pack(pop)\n" if pack else ""
        self.declaration = f"{packing}{self.keyword} {self.name} {{ {' '.join(lines)} }};\n{popping}"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Case], dict[str, bytes]]:
    """Structures, and the bytes of their values and their alignments as gcc has them for i386.

    Those that ctypes lays out on the host as gcc does there: it does not let a bit field begin where a number ended.
    """
    elffile = pytest.importorskip("elftools.elf.elffile")
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    cases: list[Case] = []
    for seed in range(200):
        cases.append(Case(seed, cases[-5:]))
    source = "".join(
        f"{case.declaration}{case.keyword} {case.name} v{case.name} = {case.text};\n"
        f"unsigned a{case.name} = _Alignof({case.keyword} {case.name});\n"
        for case in cases
    )
    directory: Path = tmp_path_factory.mktemp("i386")
    (directory / "all.c").write_text(source)

    def bytes_of(machine: str) -> dict[str, bytes]:
        command = ["gcc", machine, "-w", "-fno-pie", "-fno-zero-initialized-in-bss", "-c", "all.c", "-o", "all.o"]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60)
        if done.returncode and machine in done.stderr:
            pytest.skip(f"needs a gcc that knows {machine}")
        assert done.returncode == 0, done.stderr
        found = {}
        elf = elffile.ELFFile(io.BytesIO((directory / "all.o").read_bytes()))
        for symbol in elf.get_section_by_name(".symtab").iter_symbols():
            if symbol["st_size"]:
                data = elf.get_section(symbol["st_shndx"]).data()
                found[symbol.name] = data[symbol["st_value"] : symbol["st_value"] + symbol["st_size"]]
        return found

    host = bytes_of("-m64")
    kept = [case for case in cases if bytes(case.value) == host[f"v{case.name}"]]
    assert len(kept) > 150
    return kept, bytes_of("-m32")


def test_structures_lie_as_gcc_lays_them_out_for_i386(compiled: tuple[list[Case], dict[str, bytes]]) -> None:
    cases, found = compiled
    seen = set()
    for case in cases:
        twin = under(case.T, I386)
        align = int.from_bytes(found[f"a{case.name}"], "little")
        assert Layout.of(case.T, I386) == Layout(len(found[f"v{case.name}"]), align), case.declaration
        assert under(twin, I386) is twin
        if any(under(inner, I386) is not inner and issubclass(inner, ctypes.Union) for inner in aggregates(case.T)):
            seen.add("union")
            continue
        made = converted(case.value, twin)
        assert bytes(made) == found[f"v{case.name}"], case.declaration
        assert Layout.of(case.T, ILP32).align >= align
        seen |= {"pack" if case.pack else "", "moved" if Layout.of(case.T, ILP32) != Layout.of(case.T, I386) else ""}
    assert seen == {"", "union", "pack", "moved"}  # the seeds make all of them


def aggregates(T: Any) -> Any:
    if issubclass(T, (ctypes.Structure, ctypes.Union)):
        yield T
        for entry in T._fields_:
            yield from aggregates(entry[1])


def test_struct_codes_lie_so_too(compiled: tuple[list[Case], dict[str, bytes]]) -> None:
    cases, found = compiled
    plain = [case for case in cases if case.plain]
    for case in plain:
        T = UserPtr.of(case.code).under(I386)
        assert (T.size, T.align) == tuple(Layout.of(case.T, I386)), case.code
        memory = Memory(found[f"v{case.name}"])
        values = T(0).read(memory)
        flat = list(values) if isinstance(values, tuple) else [values]
        assert flat == [one for name, _ in case.T._fields_ for one in numbers(getattr(case.value, name))]
    assert len(plain) > 20


def numbers(value: Any) -> list[Any]:
    return list(value) if isinstance(value, ctypes.Array) else [value]


class Memory:
    """These bytes, readable."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def with_addr_space(self, f: Any) -> Any:
        return f(self)

    def check_region_access(self, range: Any, flags: MappingFlags) -> bool:
        return bool(range.end <= len(self.data))

    def populate_area(self, start: int, size: int, access: MappingFlags) -> None:
        pass

    def read_into(self, vaddr: int, buf: Any) -> int:
        buf[:] = self.data[vaddr : vaddr + len(buf)]
        return len(buf)


class Wide(ctypes.Structure):
    _fields_ = [("tag", u8), ("x", u64), ("y", ctypes.c_double), ("end", u8)]


class Color(enum.IntEnum):
    RED = 1


def test_numbers_of_8_bytes_are_aligned_to_4_alone_and_in_arrays(space: AddrSpace) -> None:
    # System V ABI, Intel386, table 2.1: long long and double have the alignment 4
    space.model = I386
    space.map_alloc(BASE, 0x1000, MappingFlags.READ | MappingFlags.WRITE)
    for T in (u64, ctypes.c_double, u64 * 2, "Q", "d", enum_type(Color, u64), enum_type(Color, "Q"), Wide):
        assert Layout.of(T, I386).align == 4
        assert Layout.of(T, ILP32).align == Layout.of(T).align == 8
        assert Layout.array(T, 3, I386).size == 3 * Layout.of(T, I386).size
        ptr = UserPtr.of(T)(BASE + 4)
        ptr.write(space, ptr.read(space))
    assert [Layout.of(T, I386).align for T in (u32, ctypes.c_void_p, "P", UserPtr[u8], "<Q")] == [4, 4, 4, 4, 1]
    UserPtr[u64](BASE + 4).write(space, 1 << 40)
    assert UserPtr.of("Q")(BASE + 4).read(space) == 1 << 40
    assert UserPtr[u64 * 2].under(I386)(BASE + 4).field("[1]").address == BASE + 12
    wide = UserPtr[Wide](BASE + 4)
    wide.write(space, Wide(1, 2, 3.5, 4))
    assert space.read(BASE + 4, 24) == b"\1\0\0\0" + (2).to_bytes(8, "little") + b"\0\0\0\0\0\0\x0c@" + b"\4\0\0\0"
    assert wide.type.under(I386)(BASE + 4).field("y").read(space) == 3.5
    assert wide.read(space).y == 3.5
    assert wide.get(space).end == 4
    live = UserPtr[u64](BASE + 4).get_as_slice(space, 2)
    assert live[0] & 0xFF == 1


def test_a_code_keeps_its_alignment_under_a_model() -> None:
    for model in (LP64, LP64_BIG, ILP32, ILP32_BIG):
        for code, align in (("H", 2), ("bI", 4), ("bQ", 8), ("P", model.pointer), ("=I", 1), (">I", 1)):
            assert UserPtr.of(code).under(model).align == align == Layout.of(code, model).align


class Text(ctypes.Structure):
    _fields_ = [
        ("name", char * 8),
        ("flag", ctypes.c_bool),
        ("next", ctypes.c_void_p),
        ("low", u16, 3),
        ("high", u16, 13),
    ]


class Outer(ctypes.Structure):
    _anonymous_ = ["inner"]
    _fields_ = [("inner", Text), ("words", u32 * 2), ("real", ctypes.c_float)]


class Either(ctypes.Union):
    _fields_ = [("word", u32), ("bytes", u8 * 4)]


@pytest.mark.parametrize("model", [LP64, LP64_BIG, ILP32, ILP32_BIG, I386], ids=str)
def test_an_instance_of_the_hosts_type_may_be_stored(space: AddrSpace, model: DataModel) -> None:
    space.model = model
    space.map_alloc(BASE, 0x1000, MappingFlags.READ | MappingFlags.WRITE)
    ptr = UserPtr[Outer](BASE)
    given = Outer(Text(b"ab\0c", True, 0x1234, 5, 77), (u32 * 2)(1, 2), 0.5)
    ctypes.memmove(ctypes.byref(given), b"ab\0c", 4)  # bytes behind a NUL are members too
    for store in (lambda: ptr.write(space, given), lambda: ptr.write_slice(space, [given])):
        space.write(BASE, bytes(64))
        store()
        found = ptr.read(space)
        assert (found.name, found.flag, found.next, found.low, found.high) == (b"ab", True, 0x1234, 5, 77)
        assert (list(found.words), found.real) == ([1, 2], 0.5)
        assert space.read(BASE, 4) == b"ab\0c"
        assert type(found).__name__ == "Outer"
    ptr.write(space, Outer())
    assert not ptr.read(space).next
    if model.pointer == 4:
        before = space.read(BASE, 64)
        with pytest.raises(OverflowError, match="does not fit in 4 bytes"):
            ptr.write(space, Outer(Text(next=1 << 32)))
        assert space.read(BASE, 64) == before
    either = UserPtr[Either](BASE)
    if model.order == "big":
        with pytest.raises(TypeError, match="which member of Either"):
            either.write(space, Either(1))
    else:
        either.write(space, Either(1))
    numbers = UserPtr[u32 * 2](BASE)
    numbers.write(space, (u32 * 2)(1, 2))
    assert list(numbers.read(space)) == [1, 2]
    assert space.read(BASE, 4) == (1).to_bytes(4, model.order)
    with pytest.raises(TypeError, match="want an instance of Outer"):
        ptr.write(space, Either(1))


def test_a_wide_character_lies_in_the_order_of_the_model(space: AddrSpace) -> None:
    space.map_alloc(BASE, 0x1000, MappingFlags.READ | MappingFlags.WRITE)
    ptr = UserPtr[ctypes.c_wchar](BASE)
    for model in (LP64, ILP32, I386, ILP32_BIG, LP64_BIG):
        space.model = model
        ptr.write(space, "ß")
        assert space.read(BASE, 4) == (0xDF).to_bytes(4, model.order)
        assert ptr.read(space) == "ß"
        for bad in ("ab", "", 5):
            with pytest.raises(TypeError):
                ptr.write(space, bad)
        space.write(BASE, b"\xff\xff\xff\xff")
        with pytest.raises(LinuxError, match="is no character"):
            ptr.read(space)


class Long(ctypes.Structure):
    _fields_ = [("bits", u64, 40)]


def test_what_has_no_form_in_a_model_is_refused() -> None:
    class Name(ctypes.Structure):
        _fields_ = [("text", ctypes.c_wchar * 4)]

    for T, model in [
        (Name, LP64_BIG),
        (ctypes.c_longdouble, LP64_BIG),
        (ctypes.c_longdouble, ILP32),
        (ctypes.c_longdouble * 2, I386),
        (Long, I386),
    ]:
        with pytest.raises(TypeError, match=f"no form in .*{model}"):
            UserPtr[T].under(model)
        with pytest.raises(TypeError, match="no form in"):
            Layout.of(T, model)
    for T in (int, "nonsense", ctypes.c_char_p):
        with pytest.raises(TypeError):
            Layout.of(T, ILP32)
    assert Layout.of(Long, ILP32) == Layout(8, 8)


def test_models_are_values() -> None:
    models = [LP64, LP64_BIG, ILP32, ILP32_BIG, I386]
    assert len(set(models)) == len({repr(model) for model in models}) == 5
    for model in models:
        again = pickle.loads(pickle.dumps(model))
        assert again == model
        assert hash(again) == hash(model)
        assert checked_model(again) is again
        assert UserPtr[u32].under(again) is UserPtr[u32].under(model)
    assert DataModel("ILP32", 4, "little") == ILP32
    assert DataModel("ILP32", 4, "little", 4) != ILP32
    assert DataModel("mine", 4, "little", 4) != I386


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        (("x", 4, "middle"), ValueError),
        (("x", 2, "big"), ValueError),
        (("x", 4, "big", 2), ValueError),
        (("x", 8, "little", 4), ValueError),
        (("x", 4.0, "big"), TypeError),
        (("x", 4, "big", 8.0), TypeError),
        ((b"x", 4, "big"), TypeError),
        (("x", 4, ["big"]), ValueError),
    ],
)
def test_a_model_that_no_program_has_is_refused(space: AddrSpace, fields: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        space.model = DataModel(*fields)
    with pytest.raises(error):
        UserPtr[u32].under(DataModel(*fields))
    assert space.model is LP64
