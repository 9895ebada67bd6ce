"""Errors of connecting and the causes that they become."""

from __future__ import annotations

import errno
import os

import pytest

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.transport import connect_errors


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.EMFILE, local_replies.NO_DESCRIPTORS),
        (errno.ENFILE, local_replies.NO_DESCRIPTORS),
        (errno.ENOBUFS, local_replies.NO_MEMORY),
        (errno.ENOMEM, local_replies.NO_MEMORY),
        (errno.EADDRNOTAVAIL, local_replies.NO_PORTS),
        (errno.ECONNREFUSED, local_replies.CONNECTION_REFUSED),
        (errno.EHOSTUNREACH, local_replies.ADDRESS_UNREACHABLE),
        (errno.ENETUNREACH, local_replies.ADDRESS_UNREACHABLE),
        (errno.EINVAL, local_replies.ADDRESS_UNREACHABLE),
        (errno.ECONNRESET, local_replies.CONNECTION_CLOSED),
        (errno.EPERM, local_replies.ADDRESS_UNREACHABLE),
    ],
)
def test_an_error_of_connecting_has_its_cause(number: int, cause: local_replies.Cause) -> None:
    assert connect_errors.of_connecting(OSError(number, os.strerror(number)), "127.0.0.1") is cause
    assert cause.own_fault is (cause in (local_replies.NO_DESCRIPTORS, local_replies.NO_MEMORY, local_replies.NO_PORTS))
    assert not cause.own_fault or cause.status == 503


def test_an_address_without_a_way_to_it_is_no_lack_of_ports() -> None:
    """connect(2) also fails with EADDRNOTAVAIL if this host has no source address, for example without IPv6."""
    error = OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
    assert connect_errors.of_connecting(error, "0:0:0:0:0:0:0:1%no-such-device") is local_replies.ADDRESS_UNREACHABLE
