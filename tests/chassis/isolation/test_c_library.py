"""The C library without the Python part of ctypes, beside ctypes."""

from __future__ import annotations

import ctypes
import errno
import os
import sys

import pytest

from sidecars.chassis.isolation import c_library
from sidecars.chassis.isolation.c_library import Long, checked_syscall, function

_FALLOCATE = {"x86_64": 285, "aarch64": 47}


def test_a_function_gets_its_arguments_and_returns_64_bits() -> None:
    assert function("labs")(Long(-(2**62))) == 2**62
    assert function("strlen")(b"four\0and more") == 4
    assert function("getpid")() == os.getpid()


def test_a_function_that_is_missing_is_an_error() -> None:
    with pytest.raises(OSError, match="no_such_function"):
        function("no_such_function")


def test_a_system_call_that_fails_raises_its_error() -> None:
    with pytest.raises(OSError, match="Bad file descriptor") as raised:
        checked_syscall(_FALLOCATE[os.uname().machine], -1, 0, Long(0), Long(1))
    assert raised.value.errno == errno.EBADF


def test_a_long_argument_has_all_its_bits() -> None:
    descriptor = os.memfd_create("large")
    try:
        checked_syscall(_FALLOCATE[os.uname().machine], descriptor, 1, Long(2**33), Long(1))  # FALLOC_FL_KEEP_SIZE
    finally:
        os.close(descriptor)


def test_the_names_that_it_takes_from_the_c_part_are_those_of_ctypes() -> None:
    taken = {"FUNCFLAG_CDECL", "FUNCFLAG_USE_ERRNO", "CFuncPtr", "_SimpleCData", "dlopen", "get_errno"}
    assert taken <= vars(sys.modules["_ctypes"]).keys()
    assert issubclass(ctypes.c_long, ctypes._SimpleCData)
    assert c_library.Long._type_ == ctypes.c_long._type_
