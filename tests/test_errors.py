"""The error tree: what carries which errno, and what a fault says."""

from __future__ import annotations

import copy
import errno
import os
import pickle

import pytest

from axptr import (
    AddrSpace,
    AlreadyMapped,
    FaultReason,
    KernelFault,
    LinuxError,
    MappedToHugePage,
    MappingFlags,
    NotAligned,
    NotMapped,
    PagingError,
    UserFault,
)

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE


def test_linux_error_is_an_os_error_with_its_errno() -> None:
    error = LinuxError(errno.ENOMEM, "no frames left")
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOMEM
    assert error.name == "ENOMEM"
    assert str(error) == "[Errno 12] no frames left"
    assert LinuxError(errno.EINVAL).strerror == os.strerror(errno.EINVAL)


def test_linux_error_never_turns_into_a_subclass_of_os_error_of_another_tree() -> None:
    # OSError(ENOENT) becomes FileNotFoundError; ours stays what it is, so that one `except` finds it.
    assert type(LinuxError(errno.ENOENT)) is LinuxError
    assert not issubclass(KernelFault, OSError)


def test_user_fault_is_efault_with_its_cause() -> None:
    fault = UserFault("why", address=0x1000, access=W, size=8, completed=3, reason=FaultReason.PROTECTION, area=None)
    assert isinstance(fault, LinuxError)
    assert fault.errno == errno.EFAULT
    assert (fault.address, fault.access, fault.size, fault.completed) == (0x1000, W, 8, 3)
    assert fault.reason is FaultReason.PROTECTION


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_user_fault_survives_a_copy(copier: object) -> None:
    fault = UserFault("why", address=0x1000, access=W, size=8, completed=3, reason=FaultReason.UNMAPPED)
    twin = copier(fault)  # type: ignore[operator]
    assert type(twin) is UserFault
    assert str(twin) == str(fault)
    assert vars(twin) == vars(fault)


@pytest.mark.parametrize("copier", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
@pytest.mark.parametrize(
    "error",
    [
        LinuxError(errno.ENOMEM, "no frames left"),
        AlreadyMapped(0x1000),
        NotMapped(0x1000),
        NotAligned("vaddr", 0x1001, 0x1000),
        MappedToHugePage(0x1000, 0x200000),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_survives_a_copy(error: LinuxError, copier: object) -> None:
    twin = copier(error)  # type: ignore[operator]
    assert type(twin) is type(error)
    assert (twin.errno, str(twin), vars(twin)) == (error.errno, str(error), vars(error))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AlreadyMapped(0x1000), errno.EEXIST),
        (NotMapped(0x1000), errno.EFAULT),
        (NotAligned("vaddr", 0x1001, 0x1000), errno.EINVAL),
        (MappedToHugePage(0x1000, 0x200000), errno.EINVAL),
    ],
)
def test_paging_errors_are_linux_errors(error: PagingError, code: int) -> None:
    assert isinstance(error, PagingError)
    assert isinstance(error, LinuxError)
    assert error.errno == code


# -- what a fault says, made by a real space -------------------------------------------------------------------


def test_protection_message_says_which_page_is_mapped_how(space: AddrSpace) -> None:
    space.map_alloc(0x7FFF0000, 0x1000, R, name="/usr/lib/libc.so.6")
    space.map_alloc(0x7FFEF000, 0x1000, R | W)
    fault = space.fault(0x7FFF0000, W, size=16, completed=8)
    # the very sentence of the design, and what came before it
    assert str(fault) == (
        "[Errno 14] write of 16 bytes at 0x7ffefff8: page 0x7fff0000 is mapped r--p (libc.so.6), write not permitted"
        "; 8 bytes before it are good"
    )
    assert fault.area is not None
    assert fault.area.start == 0x7FFF0000


def test_unmapped_message_names_the_nearest_area(space: AddrSpace) -> None:
    space.map_alloc(0x10000, 0x1000, R, name="low")
    space.map_alloc(0x80000, 0x1000, R, name="high")
    below, above = space.fault(0x12000, R), space.fault(0x7F000, R)
    assert below.reason is above.reason is FaultReason.UNMAPPED
    assert below.area is not None
    assert above.area is not None
    assert (below.area.name, above.area.name) == ("low", "high")
    for fault in (below, above):
        assert (str(fault.below), str(fault.above)) == ("0x10000-0x11000 r--p low", "0x80000-0x81000 r--p high")
    low, high = "0x10000-0x11000 r--p low, ending 0x1001 below", "0x80000-0x81000 r--p high, starting 0x1000 above"
    assert f"page 0x12000 is not mapped; nearest are {low}, and " in str(below)
    assert f"page 0x7f000 is not mapped; nearest are {high}, and " in str(above)


def test_fault_in_an_empty_space_has_no_area(space: AddrSpace) -> None:
    fault = space.fault(0x5000, R)
    assert fault.area is None
    assert "nothing is" in str(fault)


def test_fault_outside_the_space_is_out_of_range(space: AddrSpace) -> None:
    for address in (0, 0xFFF, (1 << 47) - 0x1000, 1 << 63, (1 << 64) - 1):
        assert space.fault(address, R).reason is FaultReason.OUT_OF_RANGE
