"""What the operating system refused, as one sentence that names the setting or file and what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from chassis.lifecycle import IOFailed
from sidecars.warcopier.naming import shown

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM)


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn what goes wrong while a source is read into IOFailed."""
    try:
        yield
    except OSError as error:
        raise IOFailed(f"{shown(path)}: cannot be read{_by_whom(error)}: {_reason(error)}") from None


@contextmanager
def writing(target: str) -> Iterator[None]:
    """Turn what goes wrong while the target is written into IOFailed."""
    try:
        yield
    except OSError as error:
        raise IOFailed(f"WARCOPIER_TARGET={shown(target)}: {_why_not_written(error)}") from None


def _why_not_written(error: OSError) -> str:
    if error.errno in _NO_SPACE:
        return f"it is full ({_reason(error)}): make room, or give the volume more"
    if error.errno == errno.EROFS:
        return "it is read-only: mount it without readOnly"
    if error.errno in _NOT_ALLOWED:
        return f"cannot be written{_by_whom(error)}: {_reason(error)}; in Kubernetes, fsGroup makes a volume writable"
    return f"cannot be written: {_reason(error)}"


def _by_whom(error: OSError) -> str:
    return f" by user {os.geteuid()}, group {os.getegid()}" if error.errno in _NOT_ALLOWED else ""


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
