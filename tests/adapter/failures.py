"""Everything that an app can do wrong: what it does, the reason that is counted for it, and words of what is told."""

from __future__ import annotations

from tests.adapter.support import Behaviour, endless, hang, raw

DEADLINE = "4s"
"""ADAPTER_TIMEOUT in front of such an app: an app that answers does so in time on a busy machine, too."""

HUGE_HEAD = b"HTTP/1.1 200 OK\r\n" + b"X-Pad: " + b"x" * 70_000 + b"\r\n\r\n"
MANY_HEADERS = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: x\r\n" % n for n in range(10_000)) + b"\r\n"
OK = b"HTTP/1.1 200 OK\r\n"

FAILURES: dict[str, tuple[Behaviour, str, str]] = {
    "hangs before the head": (hang(), "timeout", f"did not answer within {DEADLINE}"),
    "hangs in the head": (hang(OK), "timeout", f"did not answer within {DEADLINE}"),
    "hangs in the body": (
        hang(OK + b"Content-Length: 9\r\n\r\nabc"),
        "timeout",
        f"began an answer with the status 200, but did not end it after 3 B of its body within {DEADLINE}",
    ),
    "drips its head": (endless(b"X: y\r\n", begin=OK, pause=0.05), "timeout", f"did not answer within {DEADLINE}"),
    "drips its body": (
        endless(b"x", begin=OK + b"Content-Length: 9999\r\n\r\n", pause=0.05),
        "timeout",
        f"of its body within {DEADLINE}",
    ),
    "says continue for ever": (endless(b"HTTP/1.1 100 Continue\r\n\r\n", pause=1.0), "timeout", "did not answer"),
    "talks without an end": (endless(b"x" * 65536, begin=OK + b"\r\n"), "too_large", "answered with more than 64KiB"),
    "announces a huge body": (hang(OK + b"Content-Length: 99999999\r\n\r\n"), "too_large", "more than 64KiB"),
    "closes at once": (raw(), "closed", "did not answer: it closed the connection"),
    "closes in the head": (raw(OK), "closed", "it closed the connection"),
    "closes in the body": (
        raw(OK + b"Content-Length: 9\r\n\r\nabc"),
        "closed",
        "did not end it after 3 B of its body: it closed the connection",
    ),
    "closes in a chunk": (raw(OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc"), "closed", "closed the connection"),
    "speaks another protocol": (raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "malformed", "not HTTP"),
    "sends noise": (raw(bytes(range(256)) * 8), "malformed", "not HTTP"),
    "sends a huge header": (raw(HUGE_HEAD), "malformed", "too large a head"),
    "sends many headers": (raw(MANY_HEADERS), "malformed", "too large a head"),
    "has a bad length": (raw(OK + b"Content-Length: -1\r\n\r\n"), "malformed", "not HTTP"),
    "has two lengths": (raw(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), "malformed", "not HTTP"),
    "has a bad chunk": (raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab"), "malformed", "not HTTP"),
    "switches protocols": (
        raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        "malformed",
        "not HTTP",
    ),
    "invents a status": (raw(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), "", "999"),
}
