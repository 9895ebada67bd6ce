"""Limits of open files, the reserve for the admin port, and the errors that mean "used up"."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h11
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.accept.listen import bind
from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.http import server
from sidecars.chassis.http.client import HttpClient
from sidecars.chassis.runtime import descriptors
from tests.support import PATIENCE

GET = h11.Request(method="GET", target="/", headers=[("Host", "x")])


@pytest.fixture
def limits() -> Iterator[descriptors.DescriptorLimits]:
    """Set limits with a reserve in this process, and restore them at the end."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield descriptors.raise_limit()
    descriptors._state.limits = None
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def few(limits: descriptors.DescriptorLimits) -> None:
    """Leave a few free descriptors beside the reserve."""
    used = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    descriptors._state.limits = descriptors.DescriptorLimits(used + 50, limits.hard, descriptors.RESERVE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 50, limits.hard))


# -- limits -----------------------------------------------------------------------------------------------------------


@given(st.integers(-1, 2**40))
def test_the_reserve_is_never_more_than_a_quarter_and_nothing_goes_beyond_the_hard_limit(hard: int) -> None:
    limits = descriptors.descriptor_limits(hard)

    most = descriptors.MOST if hard < 0 else min(hard, descriptors.MOST)
    assert limits.soft + limits.reserve == most
    assert 0 <= limits.reserve <= min(descriptors.RESERVE, most / 4)


def test_where_the_system_refuses_everything_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_which: int, _limits: tuple[int, int]) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(descriptors, "_state", descriptors._State())
    monkeypatch.setattr(resource, "setrlimit", refused)

    limits = descriptors.raise_limit()

    assert (limits.soft, limits.hard) == resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limits.reserve == 0
    with descriptors.reserved():
        pass


# -- the reserve ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_client_asks_and_is_answered_while_no_descriptor_is_left(
    few: None, host: str, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def hello(_request: server.Request) -> server.Response:
        return server.text(200, "hello")

    async def run() -> list[bytes]:
        bodies = []
        sockets = bind(Address("127.0.0.1", 0), "TEST")
        port = sockets[0].getsockname()[1]
        async with server.serve(hello, sockets), asyncio.timeout(PATIENCE):
            with taken():
                for _ in range(50):
                    client = HttpClient(host, port, lambda: None, keep_alive=10)
                    bodies.append((await client.request(GET, max_body=10)).body)
                    client.close()
        return bodies

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(run()) == [b"hello"] * 50


@contextmanager
def taken() -> Iterator[None]:
    """Open every descriptor that is free without the reserve."""
    own: list[int] = []
    try:
        while descriptors.is_any_free():
            own.append(os.dup(0))
        yield
    finally:
        for number in own:
            os.close(number)


def test_only_what_asks_for_the_reserve_may_use_it(limits: descriptors.DescriptorLimits) -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == limits.soft
    with descriptors.reserved():
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == limits.soft + limits.reserve
        with descriptors.reserved():
            pass
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == limits.soft + limits.reserve
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == limits.soft


def test_the_reserve_is_given_back_also_after_an_error_and_by_many_threads(
    limits: descriptors.DescriptorLimits,
) -> None:
    def use() -> None:
        for _ in range(200):
            with pytest.raises(FileNotFoundError), descriptors.reserved():
                os.open("/nowhere", os.O_RDONLY)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == limits.soft


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "used_up"),
    [
        (errno.EMFILE, "descriptors"),
        (errno.ENFILE, "descriptors"),
        (errno.ENOBUFS, "memory"),
        (errno.ENOMEM, "memory"),
        (errno.EADDRNOTAVAIL, "ports"),
        (errno.ECONNREFUSED, None),
        (errno.ETIMEDOUT, None),
        (errno.EHOSTUNREACH, None),
    ],
)
def test_an_error_of_our_own_exhaustion_is_told_from_one_of_the_peer(number: int, used_up: str | None) -> None:
    before = descriptors.exhaustion_counts()

    assert descriptors.exhausted_resource(OSError(number, os.strerror(number))) == used_up
    assert descriptors.count_exhaustion(OSError(number, os.strerror(number))) == used_up

    more = {name: times - before[name] for name, times in descriptors.exhaustion_counts().items()}
    assert more == {name: int(name == used_up) for name in ("descriptors", "memory", "ports")}


@pytest.mark.parametrize("error", [OSError("no number"), ssl.SSLError(24, "a reason of TLS"), ValueError(24)])
def test_an_error_that_only_looks_like_it_is_none(error: Exception) -> None:
    assert descriptors.exhausted_resource(error) is None
