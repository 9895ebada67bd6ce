"""Words for errors of connections."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from sidecars.chassis.http.error_reasons import reason_of


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] from OpenSSL (_ssl.c:1000)")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, ""),
        (tls_error("WRONG_VERSION_NUMBER"), "wrong version number"),
        (ssl.SSLError(1, "something else"), "something else"),
        (OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"), "Connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (OSError("Multiple exceptions: one, two"), "Multiple exceptions: one, two"),
        (OSError(), ""),
        (ValueError("no such encoding"), "no such encoding"),
    ],
)
def test_an_error_of_a_connection_has_words_of_the_system(error: BaseException | None, words: str) -> None:
    assert reason_of(error) == words
