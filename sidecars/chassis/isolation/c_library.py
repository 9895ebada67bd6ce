"""Functions of the C library, and system calls by their numbers, through `_ctypes`: the part of ctypes that is C.

The Python part of ctypes makes forty classes when it is loaded, which takes 3 ms of each start; these take a tenth. The
names are those that ctypes itself imports, in Python 3.11 to 3.14. Structures are bytes from the module `struct`.

An argument is an int (passed as C int), bytes (a pointer to them), None (NULL), or `Long` where the function reads 64
bits: these C functions take any number of arguments.
"""

from __future__ import annotations

import os
from _ctypes import FUNCFLAG_CDECL, FUNCFLAG_USE_ERRNO, CFuncPtr, _SimpleCData, dlopen, dlsym, get_errno

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_THIS_PROGRAM = dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type] # None is the program itself (dlopen(3))


class Long(_SimpleCData):  # type: ignore[type-arg] # it takes no parameter at run time
    """`long`, and also `unsigned long` and `size_t`: the register has the same bits."""

    _type_ = "l"


class _Function(CFuncPtr):
    """A function that returns a `long`."""

    _flags_ = FUNCFLAG_CDECL
    _restype_ = Long


class _FunctionWithErrno(CFuncPtr):
    """A function that returns a `long`, and keeps errno."""

    _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
    _restype_ = Long


def function(name: str) -> Callable[..., int]:
    """Return a function of the C library. Raises OSError if it has none of that name."""
    return _Function(dlsym(_THIS_PROGRAM, name))


# The same function without errno takes a fifth less time.
syscall = function("syscall")
_syscall_with_errno: Callable[..., int] = _FunctionWithErrno(dlsym(_THIS_PROGRAM, "syscall"))


def checked_syscall(number: int, *arguments: Any) -> int:
    """Make a system call and return its result. Raises OSError."""
    result = _syscall_with_errno(Long(number), *arguments)
    if result < 0:
        code = get_errno()
        raise OSError(code, os.strerror(code))
    return result
