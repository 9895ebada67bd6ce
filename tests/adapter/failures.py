"""Failures of an app: for each its behaviour, the reason that is counted, and words of the response to the prober."""

from __future__ import annotations

from tests.adapter.support import Behaviour, hang, repeat_endlessly, send_raw

DEADLINE = "4s"
"""ADAPTER_TIMEOUT for such an app. An app that responds does so in this time on a busy machine, too."""

HUGE_HEAD = b"HTTP/1.1 200 OK\r\n" + b"X-Pad: " + b"x" * 70_000 + b"\r\n\r\n"
MANY_HEADERS = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: x\r\n" % n for n in range(10_000)) + b"\r\n"
OK = b"HTTP/1.1 200 OK\r\n"

FAILURES: dict[str, tuple[Behaviour, str, str]] = {
    "hangs before the head": (hang(), "timeout", f"did not answer within {DEADLINE}"),
    "hangs in the head": (hang(OK), "timeout", f"did not answer within {DEADLINE}"),
    "hangs in the body": (
        hang(OK + b"Content-Length: 9\r\n\r\nabc"),
        "timeout",
        f"began a response with the status 200, but did not end it after 3 B of its body within {DEADLINE}",
    ),
    "drips its head": (
        repeat_endlessly(b"X: y\r\n", begin=OK, pause=0.05),
        "timeout",
        f"did not answer within {DEADLINE}",
    ),
    "drips its body": (
        repeat_endlessly(b"x", begin=OK + b"Content-Length: 9999\r\n\r\n", pause=0.05),
        "timeout",
        f"of its body within {DEADLINE}",
    ),
    "says continue for ever": (
        repeat_endlessly(b"HTTP/1.1 100 Continue\r\n\r\n", pause=1.0),
        "timeout",
        "did not answer",
    ),
    "talks without an end": (
        repeat_endlessly(b"x" * 65536, begin=OK + b"\r\n"),
        "too_large",
        "answered with more than 64KiB",
    ),
    "announces a huge body": (hang(OK + b"Content-Length: 99999999\r\n\r\n"), "too_large", "more than 64KiB"),
    "closes at once": (send_raw(), "closed", "did not answer: it closed the connection"),
    "closes in the head": (send_raw(OK), "closed", "it closed the connection"),
    "closes in the body": (
        send_raw(OK + b"Content-Length: 9\r\n\r\nabc"),
        "closed",
        "did not end it after 3 B of its body: it closed the connection",
    ),
    "closes in a chunk": (
        send_raw(OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc"),
        "closed",
        "closed the connection",
    ),
    "speaks another protocol": (send_raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "malformed", "not HTTP"),
    "sends noise": (send_raw(bytes(range(256)) * 8), "malformed", "not HTTP"),
    "sends a huge header": (send_raw(HUGE_HEAD), "malformed", "too large a head"),
    "sends many headers": (send_raw(MANY_HEADERS), "malformed", "too large a head"),
    "has a bad length": (send_raw(OK + b"Content-Length: -1\r\n\r\n"), "malformed", "not HTTP"),
    "has two lengths": (send_raw(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), "malformed", "not HTTP"),
    "has a bad chunk": (send_raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab"), "malformed", "not HTTP"),
    "switches protocols": (
        send_raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        "malformed",
        "not HTTP",
    ),
    "invents a status": (send_raw(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), "", "999"),
}
