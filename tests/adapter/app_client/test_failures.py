"""The reason for each error of a request, without anything that the app has sent."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from sidecars.adapter.app_client.failures import UnusableCredentials, classify_error
from sidecars.adapter.app_client.outcome import AppRequest, Reason
from sidecars.chassis.http.client import BodyTooLarge, ConnectionClosed, MalformedResponse, ResponseProgress
from tests.adapter.support import app_url

APP_REQUEST = AppRequest("default", app_url("http://127.0.0.1:8080/metrics"), 0.8, 4096)


def os_error(number: int) -> OSError:
    return OSError(number, "words of the system")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(-2, "hunter2"), "unresolved"),
        (os_error(errno.ECONNREFUSED), "refused"),
        (os_error(errno.EHOSTUNREACH), "unreachable"),
        (os_error(errno.ECONNRESET), "unreachable"),
        (OSError("hunter2"), "unreachable"),
        (ssl.SSLError(1, "hunter2"), "tls"),
        (TimeoutError("hunter2"), "timeout"),
        (ConnectionClosed("hunter2"), "closed"),
        (MalformedResponse("hunter2"), "malformed"),
        (BodyTooLarge("hunter2"), "too_large"),
        (UnusableCredentials("ADAPTER_TARGET_TOKEN cannot be read any more"), "credentials"),
    ],
)
def test_every_error_is_a_reason_and_never_repeats_what_came(error: Exception, reason: Reason) -> None:
    outcome = classify_error(error, APP_REQUEST, ResponseProgress())

    assert outcome
    assert outcome.reason == reason
    assert "hunter2" not in outcome.phrase


def test_what_nobody_thought_of_is_no_reason_but_a_defect() -> None:
    assert classify_error(KeyError("hunter2"), APP_REQUEST, ResponseProgress()) is None
