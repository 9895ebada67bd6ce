"""A forked child that is confined, and does something then: Landlock cannot be taken back, so no test confines itself.

A child of `fork` has one thread, whatever the tests' own process has.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from sidecars.chassis.isolation import landlock
from sidecars.chassis.isolation.confine import confine
from sidecars.chassis.isolation.roots import BEST_EFFORT, DeclaredRoot


def need_landlock() -> None:
    """Skip the test, with the reason, where the kernel gives no Landlock."""
    try:
        landlock.abi()
    except OSError as error:
        pytest.skip(f"this kernel gives no Landlock: {errno.errorcode[error.errno or 0]}")


def in_child(action: Callable[[], Any]) -> Any:
    """Return what the action returns in a forked child, as JSON has it. An exception's text is raised here."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            answer = {"value": action()}
        except BaseException as error:  # noqa: BLE001 - it is raised in the parent
            answer = {"error": f"{type(error).__name__}: {error}"}
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        found = json.loads(pipe.read() or b'{"error": "it died"}')
    os.waitpid(child, 0)
    assert "error" not in found, found["error"]
    return found["value"]


def confined(declared: Iterable[DeclaredRoot], action: Callable[[], Any], mode: str = BEST_EFFORT) -> Any:
    """Return what the action returns in a child that is confined to these roots."""

    def both() -> Any:
        confine(declared, mode, "X_CONFINEMENT")
        return action()

    return in_child(both)


def errno_of(action: Callable[[], object]) -> str:
    """Return the name of the error of an action; "" if it succeeds."""
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return ""
