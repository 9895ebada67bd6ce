"""Targets of the chassis: settings, HTTP, and names on a shared volume."""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from typing import Any

import h11
import trustme

from sidecars.chassis.accept.client_hello import HEADER, MOST, record_size
from sidecars.chassis.config.setting_types import (
    SettingType,
    address,
    comma_separated,
    duration,
    integer,
    pairs,
    size,
)
from sidecars.chassis.config.urls import redact_credentials, url
from sidecars.chassis.http import response_parser
from sidecars.chassis.http.accept_header import media_ranges, prefers
from sidecars.chassis.http.response_parser import RequestFailed, ResponseParser, ResponseProgress
from sidecars.chassis.http.retry_after import retry_after
from sidecars.chassis.isolation.beneath import Root
from tests.fuzz.registry import target

_TYPES: tuple[SettingType[Any], ...] = (
    address,
    duration(),
    size(),
    integer(),
    url("http", "https"),
    comma_separated(address),
    pairs(),
)
_MAX_BODY = 1000


@target("chassis.config.setting_types", "chassis.config.urls", reach=50, longest=300)
def setting_values(data: bytes) -> None:
    """A value is refused with ValueError, or what is shown of it can be read; what is not sensitive means the same."""
    text = data.decode("utf-8", "surrogateescape")
    for each in _TYPES:
        with contextlib.suppress(ValueError):
            shown = each.show(each.parse(text))
            if not each.sensitive:
                assert each.show(each.parse(shown)) == shown
    assert isinstance(redact_credentials(text), str)


@target("chassis.http.response_parser", reach=80)
def http_response(data: bytes) -> None:
    """A response is read whole, or refused with a RequestFailed; never with more than the largest body."""
    connection = response_parser.protocol()
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    reader = ResponseParser(connection, _MAX_BODY, ResponseProgress())
    try:
        for piece in (data[:1], data[1 : len(data) // 2], data[max(1, len(data) // 2) :], b""):
            reader.receive(piece)
            while not reader.advance(3):
                pass
            if reader.is_whole:
                assert len(reader.response(early=False).body) <= _MAX_BODY
                return
    except RequestFailed:
        return
    raise AssertionError("after its end a response is whole, or it is refused")


@target("chassis.http.accept_header", longest=300)
def accept_header(data: bytes) -> None:
    """Each media range has a weight from 0 to 1, and of two media types one at most is preferred."""
    accept = data.decode("latin-1")
    for each in media_ranges(accept):
        assert 0 <= each.weight <= 1
    html, json = "text/html", "application/json"
    assert not (prefers(accept, html, json) and prefers(accept, json, html))


@target("chassis.http.retry_after", longest=100)
def retry_after_header(data: bytes) -> None:
    """A delay is from 0 to its maximum."""
    delay = retry_after(data.decode("latin-1"), 1_700_000_000.0, 60.0)
    assert delay is None or 0 <= delay <= 60


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("a").configure_cert(context)
    return context


_TLS = _server_context()


@target("chassis.accept.client_hello", reach=100, longest=700)
def client_hello(data: bytes) -> None:
    """A client that OpenSSL answers has passed the gate, and no record is larger than the gate waits for."""
    if len(data) < HEADER:
        return
    size = record_size(data)
    assert size == 0 or HEADER < size <= MOST
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    received.write(data)
    session = _TLS.wrap_bio(received, sent, server_side=True)
    with contextlib.suppress(ssl.SSLError):
        session.do_handshake()
    is_answered = sent.read()[:1] == b"\x16"
    assert size or not is_answered


_VOLUME = tempfile.TemporaryDirectory(prefix="fuzz-beneath-")
_OUTSIDE = f"{_VOLUME.name}/outside"


def _make_volume() -> Root:
    inside = f"{_VOLUME.name}/inside"
    os.makedirs(f"{inside}/a/b")  # noqa: PTH103 - text throughout
    os.mkdir(_OUTSIDE)  # noqa: PTH102 - text throughout
    os.symlink("../../outside", f"{inside}/a/l")  # noqa: PTH211 - text throughout
    os.symlink(_OUTSIDE, f"{inside}/l")  # noqa: PTH211 - text throughout
    return Root.open(inside)


_ROOT = _make_volume()


@target("chassis.isolation.beneath", reach=30, longest=200)
def names_beneath(data: bytes) -> None:
    """No name, opened or made, leads out of the root."""
    name = os.fsdecode(data)
    made = ""
    with contextlib.suppress(OSError):
        os.close(_ROOT.create(name))
        made = name
    for operation in (_ROOT.open_file, _ROOT.status, _ROOT.read_link, lambda each: list(_ROOT.scan(each))):
        with contextlib.suppress(OSError):
            found = operation(name)
            if isinstance(found, int):
                where = os.readlink(f"/proc/self/fd/{found}")  # noqa: PTH115 - text throughout
                os.close(found)
                assert where.startswith(f"{_ROOT.path}/")
    assert os.listdir(_OUTSIDE) == []  # noqa: PTH208 - text throughout
    if made:
        _ROOT.remove(made)
