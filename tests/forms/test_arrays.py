"""numpy's dtypes as T: scalars, structures, slices in place, what is refused; numpy is imported by nobody else."""

from __future__ import annotations

import ctypes
import errno
import pickle
import subprocess
import sys
import types
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axptr import PAGE_SIZE, AddrSpace, Layout, LinuxError, MappingFlags, UserConstPtr, UserFault, UserPtr
from fakes import FakeMemory, PlainProvider

np = pytest.importorskip("numpy")

BASE = 0x100000
RECORD = np.dtype([("tag", "u1"), ("x", ">u4"), ("grid", "<u2", (2, 3))])


@pytest.fixture
def memory(space: AddrSpace) -> AddrSpace:
    space.map_alloc(BASE, 4 * PAGE_SIZE, MappingFlags.READ | MappingFlags.WRITE)
    return space


def test_the_layout_is_the_dtype_s() -> None:
    aligned = np.dtype([("a", "u1"), ("b", "u4")], align=True)
    assert Layout.of(np.dtype(">u4")) == Layout(4, 4)
    assert Layout.of(np.uint16) == Layout(2, 2)
    assert Layout.of(RECORD) == Layout(17, 1)
    assert Layout.of(aligned) == Layout(8, 4)
    # equal dtypes, of different alignment: neither takes the other's place
    packed, wide = np.dtype([("a", "u4")]), np.dtype([("a", "u4")], align=True)
    assert packed == wide
    for _ in range(2):
        assert UserPtr.of(packed).align == packed.alignment
        assert UserPtr.of(wide).align == wide.alignment


def test_a_scalar_is_read_and_written(memory: AddrSpace) -> None:
    ptr = UserPtr.of(np.dtype(">u4"))(BASE)
    ptr.write(memory, 0x01020304)
    assert memory.read(BASE, 4) == b"\1\2\3\4"
    found = ptr.read(memory)
    assert found == 0x01020304
    assert isinstance(found, np.uint32)
    assert ptr == UserPtr[np.dtype(">u4")](BASE)
    assert UserPtr.of(np.uint32)(BASE) == UserPtr.of(np.dtype("u4"))(BASE)
    with pytest.raises(UserFault, match="misaligned"):
        UserPtr.of(np.uint32)(BASE + 1).read(memory)


def test_a_structured_value_is_a_copy_of_its_own(memory: AddrSpace) -> None:
    ptr = UserPtr.of(RECORD)(BASE)
    ptr.write(memory, (1, 2, [[1, 2, 3], [4, 5, 6]]))
    found = ptr.read(memory)
    assert isinstance(found, np.void)
    assert (found["tag"], found["x"], found["grid"][1, 2]) == (1, 2, 6)
    found["x"] = 9
    assert ptr.read(memory)["x"] == 2
    ptr.write(memory, found)
    assert ptr.read(memory)["x"] == 9


def test_a_slice_is_an_array_of_its_own(memory: AddrSpace) -> None:
    ptr = UserPtr.of(np.dtype("<u4"))(BASE + PAGE_SIZE - 8)
    ptr.write_slice(memory, np.arange(2000, dtype="u4"))
    found = ptr.read_slice(memory, 2000)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.dtype("<u4")
    assert found.flags.writeable
    assert (found == np.arange(2000)).all()
    ptr.write_slice(memory, [5, 6])
    ptr.write_slice(memory, iter([5]))
    assert list(ptr.read_slice(memory, 3)) == [5, 6, 2]
    assert ptr.read_slice(memory, 0).shape == (0,)
    ptr.write_slice(memory, [])
    rows = UserPtr.of(np.dtype(("<u2", (2, 3))))(BASE)
    rows.write_slice(memory, np.arange(18, dtype="<u2").reshape(3, 2, 3))
    assert rows.read_slice(memory, 3).shape == (3, 2, 3)
    assert rows.read(memory).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert rows.field("[1][2]").read(memory) == 5
    when = UserPtr.of(np.dtype("M8[s]"))(BASE)
    when.write(memory, np.datetime64("2026-01-02T03:04:05"))
    assert when.read_slice(memory, 1)[0] == np.datetime64("2026-01-02T03:04:05")


def test_a_slice_into_a_hole_allocates_nothing_and_stores_nothing(memory: AddrSpace) -> None:
    ptr = UserPtr.of(np.uint32)(BASE + 4 * PAGE_SIZE - 8)
    with pytest.raises(UserFault):
        ptr.read_slice(memory, 1 << 50)
    with pytest.raises(UserFault):
        ptr.read_slice(memory, 3)
    with pytest.raises(UserFault):
        ptr.write_slice(memory, [1, 2, 3])
    assert list(ptr.read_slice(memory, 2)) == [0, 0]
    # a range that may be read, larger than any array
    fake = FakeMemory()
    fake.map(BASE, 1, MappingFlags.READ)
    fake.check_region_access = lambda *_: True  # type: ignore[method-assign]
    fake.populate_area = lambda *_: None  # type: ignore[method-assign]
    with pytest.raises(LinuxError) as caught:
        UserConstPtr.of(np.uint32)(BASE).read_slice(PlainProvider(fake), 1 << 60)
    assert caught.value.errno == errno.ENOMEM


def test_live_views_are_arrays_over_user_memory(memory: AddrSpace) -> None:
    view = UserPtr.of(np.dtype(">u4"))(BASE).get_as_slice(memory, 4)
    view[1] = 7
    assert memory.read(BASE, 8) == b"\0\0\0\0\0\0\0\7"
    record = UserPtr.of(RECORD)(BASE + 100).get(memory)
    record["tag"] = 5
    assert memory.read(BASE + 100, 1) == b"\5"
    const = UserConstPtr.of(RECORD)(BASE + 100).get_as_slice(memory, 2)
    assert not const.flags.writeable
    assert UserPtr.of(RECORD)(BASE).get_as_slice(memory, 0).shape == (0,)


@pytest.mark.parametrize(
    ("dtype", "value", "error"),
    [
        ("u1", 300, OverflowError),
        ("u1", -1, OverflowError),
        ("u8", 1 << 64, OverflowError),
        ("u1", 1.5, TypeError),
        ("u1", "1", TypeError),
        ("u1", None, TypeError),
        ("u1", np.int64(300), OverflowError),
        ("u1", [1, 2], TypeError),
        ("i1", np.uint8(200), OverflowError),
        ("f4", 1e300, OverflowError),
        ("f4", "x", TypeError),
        ("S2", b"abc", OverflowError),
        ([("a", "u1")], (300,), OverflowError),
        ([("a", "u1")], (1, 2), TypeError),
        ([("a", "u1")], "x", TypeError),
    ],
)
def test_a_value_that_is_none_is_refused(memory: AddrSpace, dtype: Any, value: Any, error: type[Exception]) -> None:
    ptr = UserPtr.of(np.dtype(dtype))(BASE)
    with pytest.raises(error):
        ptr.write(memory, value)
    with pytest.raises(error):
        ptr.write_slice(memory, [value])
    assert not any(memory.read(BASE, 64))


@pytest.mark.parametrize("dtype", ["O", "U4", "V0", "S0", [("a", "O")], [("a", "U1", (2,))], np.dtypes.StringDType()])
def test_a_dtype_that_guest_memory_cannot_hold_is_refused(dtype: Any) -> None:
    with pytest.raises(TypeError):
        UserPtr.of(np.dtype(dtype))
    with pytest.raises(TypeError):
        Layout.of(np.dtype(dtype))


def test_fields_and_pickles(memory: AddrSpace) -> None:
    ptr = UserPtr.of(RECORD)(BASE)
    assert ptr.field("grid[1][2]").address == BASE + 5 + 10
    assert ptr.field("x").read_unaligned(memory) == 0
    with pytest.raises(AttributeError):
        ptr.field("y")
    with pytest.raises(IndexError):
        ptr.field("grid[2]")
    with pytest.raises(TypeError):
        ptr.field("x.y")
    assert pickle.loads(pickle.dumps(ptr)) == ptr
    link = UserPtr.of(np.dtype([("next", "u8")]))(BASE)
    link.write(memory, (BASE + 64,))
    assert [node.address for node in link.follow(memory, "next", 5)] == [BASE, BASE + 64]


DTYPES = ["u1", "<i2", ">i2", "<u4", ">u4", "<f8", ">f8", "<c16", "S3", "V5", "<M8[s]", ("<u2", (2,))]


@pytest.mark.parametrize("dtype", [*DTYPES, RECORD, np.dtype([("a", "u1"), ("b", ">u8")], align=True)], ids=str)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_read_is_written_back_the_same_anywhere(space: AddrSpace, dtype: Any, data: st.DataObject) -> None:
    T = np.dtype(dtype)
    edge = PAGE_SIZE - data.draw(st.integers(0, T.itemsize))
    at = BASE + data.draw(st.sampled_from([edge, data.draw(st.integers(0, PAGE_SIZE - 1))]))
    blob = data.draw(st.binary(min_size=3 * T.itemsize, max_size=3 * T.itemsize))
    if T.kind in "fc":
        blob = bytes(byte & 0x3B for byte in blob)
    if not space.areas():
        space.map_alloc(BASE, 3 * PAGE_SIZE, MappingFlags.READ | MappingFlags.WRITE)
    ptr = UserPtr.of(T)(at)
    space.write(at, blob)
    value = ptr.read_unaligned(space)
    again = np.array(value, T.base)  # but for padding
    assert again.tobytes() == blob[: T.itemsize] or again == np.frombuffer(blob, T, 1)[0]
    space.write(at, bytes(len(blob)))
    ptr.write_unaligned(space, value)
    stored = np.frombuffer(space.read(at, T.itemsize), T)
    assert (stored == np.frombuffer(blob, T, 1)).all() or T.kind == "M"
    if at % T.alignment:
        with pytest.raises(UserFault, match="misaligned"):
            ptr.read_slice(space, 1)
        return
    space.write(at, blob)
    many = ptr.read_slice(space, 3)
    space.write(at, bytes(len(blob)))
    ptr.write_slice(space, many)
    stored = np.frombuffer(space.read(at, len(blob)), T)  # but for padding
    assert (stored == np.frombuffer(blob, T)).all() or space.read(at, len(blob)) == blob


def test_numpy_is_not_imported_until_a_dtype_is_there() -> None:
    script = (
        "import sys, ctypes, axptr\n"
        "axptr.UserPtr.of('<I'), axptr.UserPtr[ctypes.c_int]\n"
        "try: axptr.Layout.of(3)\n"
        "except TypeError: pass\n"
        "assert 'numpy' not in sys.modules and 'axptr.forms.arrays' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert Layout.of(ctypes.c_int) == Layout(4, 4)


def test_types_have_their_layout_while_another_thread_imports_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", types.ModuleType("numpy"))  # as it stands until its import is over
    assert Layout.of(ctypes.c_uint16 * 3) == Layout(6, 2)
    with pytest.raises(TypeError):
        Layout.of(object())


def test_padding_of_what_is_stored_is_zero_whatever_the_host_had_there(memory: AddrSpace) -> None:
    dtype = np.dtype([("a", "u1"), ("b", "<u8"), ("c", [("d", "u1"), ("e", "<u4")], 2)], align=True)
    ptr = UserPtr.of(dtype)(BASE)
    dirty = np.frombuffer(bytearray(b"\xee" * (2 * dtype.itemsize)), dtype).copy()
    for value in (dirty[0], (1, 2, [(3, 4), (5, 6)])):
        memory.write(BASE, b"\xdd" * dtype.itemsize)
        ptr.write(memory, value)
        raw = memory.read(BASE, dtype.itemsize)
        assert (raw[1:8], raw[17:20], raw[25:28]) == (bytes(7), bytes(3), bytes(3))
    ptr.write_slice(memory, dirty)
    raw = memory.read(BASE, 2 * dtype.itemsize)
    assert raw.count(0) == 2 * (7 + 3 + 3)
    assert (ptr.read_slice(memory, 2) == dirty).all()


def test_a_live_scalar_is_an_array_of_no_dimension(memory: AddrSpace) -> None:
    ptr = UserPtr.of(np.dtype("<u4"))(BASE)
    live = ptr.get(memory)
    assert live.shape == ()
    live[()] = 7
    assert ptr.read(memory) == 7
    ptr.write(memory, 9)
    assert live == 9


@pytest.mark.parametrize("T", [np.dtype("<u4"), np.dtype(("<u2", (2, 3))), np.dtype([("a", "u1")])])
def test_an_empty_slice_stores_nothing(memory: AddrSpace, T: Any) -> None:
    memory.write(BASE, b"keep")
    UserPtr.of(T)(BASE).write_slice(memory, [])
    UserPtr.of(T)(BASE).write_slice(memory, np.empty(0, T))
    assert memory.read(BASE, 4) == b"keep"
