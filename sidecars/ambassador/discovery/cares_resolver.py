"""Look up names with their TTLs through c-ares: /etc/hosts, search domains, several servers, retries over TCP.

c-ares (https://c-ares.org) is the resolver inside curl and Node.js. Our event loop drives it: c-ares reports which of
its sockets to watch, and a timer calls it ten times a second so that it notices its time-outs.

Each look-up has a channel of its own. So resolv.conf and the hosts file are read again every time, and the cache of
c-ares (answers, for up to an hour) is never used: `sidecars.ambassador.discovery.dns_target` alone decides for how
long an answer is valid.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pycares

from sidecars.ambassador.discovery import resolvconf
from sidecars.ambassador.discovery.dns_target import (
    DnsAnswer,
    LookupFailed,
    ResolvedAddress,
    SrvRecord,
    addresses_of_records,
)
from sidecars.ambassador.discovery.resolvconf import ResolvConf
from sidecars.ambassador.transport.host_routes import has_route
from sidecars.chassis.runtime import file_io

_LOOKUP_TIMEOUT = 15.0  # seconds for a whole look-up, all servers, retries and search domains together
_LARGEST_CONF = 64 * 1024  # bytes of a resolv.conf
_POLL_EVERY = 0.1  # seconds; the delay with which c-ares notices that a server does not answer
_NO_SORT = 1 << 7  # ARES_AI_NOSORT: the balancer, not the resolver, ranks addresses

_DEFINITE = (pycares.errno.ARES_ENODATA, pycares.errno.ARES_ENOTFOUND)
_REASONS = {
    pycares.errno.ARES_ENODATA: "the name has no addresses",
    pycares.errno.ARES_ENOTFOUND: "the name does not exist (NXDOMAIN)",
    pycares.errno.ARES_ESERVFAIL: "the name server failed (SERVFAIL)",
    pycares.errno.ARES_EREFUSED: "the name server refuses to answer (REFUSED)",
    pycares.errno.ARES_ETIMEOUT: "no name server answered in time",
    pycares.errno.ARES_ECONNREFUSED: "no name server can be reached",
}


class CaresResolver:
    """Looks one name up at the name servers of a resolv.conf. Its refresh loop owns it.

    It remembers the addresses of the last answer: they fill in for the part of a later look-up that fails.
    """

    def __init__(self, resolv_conf: Path) -> None:
        self._resolv_conf = resolv_conf
        self._last: dict[str, list[str]] = {}  # the addresses of each host in the last answer

    def _channel(self) -> _Channel:
        try:
            text = file_io.read_small(str(self._resolv_conf), _LARGEST_CONF).decode(errors="replace")
        except OSError as error:
            raise LookupFailed(f"{self._resolv_conf} cannot be read: {error.strerror}") from None
        return _Channel(resolvconf.parse(text))

    async def lookup(self, host: str) -> DnsAnswer:
        """Return the addresses of a name. Raises LookupFailed."""
        async with self._channel() as channel:
            addresses, ttl = await _addresses(channel, host)
            for v6 in (False, True):
                addresses += await _last_of_failed_family(channel, host, addresses, self._last.get(host, []), v6=v6)
        self._last = {host: addresses}
        return DnsAnswer(tuple(map(ResolvedAddress, addresses)), ttl)

    async def lookup_srv(self, name: str) -> DnsAnswer:
        """Return the addresses behind the SRV records of a name, with the shortest TTL of all. Raises LookupFailed."""
        async with self._channel() as channel:
            result = await channel.query(lambda done: channel.cares.search(name, pycares.QUERY_TYPE_SRV, callback=done))
            named = [
                (_srv_record(each.data), float(each.ttl))
                for each in result.answer
                if isinstance(each.data, pycares.SRVRecordData)
            ]
            named = [(record, ttl) for record, ttl in named if record.is_usable]
            if not named:
                raise LookupFailed("the name has no SRV records that name a host")
            hosts = sorted({record.host for record, _ in named})
            # The final dot: a record's host is a full name and gets no search domain.
            found = await asyncio.gather(*(_addresses(channel, f"{host}.") for host in hosts), return_exceptions=True)
        known: dict[str, list[str]] = {}
        ttls = [ttl for _, ttl in named]
        for host, outcome in zip(hosts, found, strict=True):
            if isinstance(outcome, LookupFailed):
                known[host] = [] if outcome.definite else self._last.get(host, [])
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                known[host], ttl = outcome
                ttls.append(ttl)
        if not any(known.values()):
            raise LookupFailed("none of the hosts that its SRV records name has an address")
        self._last = known
        return DnsAnswer(addresses_of_records([(record, known[record.host]) for record, _ in named]), min(ttls))


def _srv_record(data: Any) -> SrvRecord:
    # pycares returns a name beyond ASCII as bytes. Such a name is no host name.
    host = data.target.rstrip(".") if isinstance(data.target, str) else ""
    return SrvRecord(data.priority, data.weight, data.port, host)


async def _addresses(channel: _Channel, host: str) -> tuple[list[str], float]:
    """Return the addresses that this host has a route to, and their TTL in seconds (0 for the hosts file).

    Without a route to any of them, return them all. Raises LookupFailed.
    """
    result = await channel.query(
        lambda done: channel.cares.getaddrinfo(
            host, None, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM, flags=_NO_SORT, callback=done
        )
    )
    nodes = [(node.addr[0].decode(), float(node.ttl)) for node in result.nodes]
    usable = [(address, ttl) for address, ttl in nodes if has_route(address)] or nodes
    if not usable:
        raise LookupFailed(_REASONS[pycares.errno.ARES_ENODATA])
    return list(dict.fromkeys(address for address, _ in usable)), min(ttl for _, ttl in usable)


async def _last_of_failed_family(
    channel: _Channel, host: str, now: list[str], before: list[str], *, v6: bool
) -> list[str]:
    """Return the last addresses of one family if only the question for that family has failed, else none.

    c-ares returns the addresses that it got. Only an answer of the name server may take all of a family away.
    """
    lost = [address for address in before if (":" in address) is v6]
    if not lost or any((":" in address) is v6 for address in now):
        return []
    kind = pycares.QUERY_TYPE_AAAA if v6 else pycares.QUERY_TYPE_A
    try:
        await channel.query(lambda done: channel.cares.search(host, kind, callback=done))
    except LookupFailed as error:
        return [] if error.definite else lost
    return []


class _Channel:
    """A context that keeps a c-ares channel open, driven by the running event loop."""

    def __init__(self, settings: ResolvConf) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._watched: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.cares: Any = None

    async def __aenter__(self) -> Self:
        settings = self._settings
        # EDNS allows larger answers over UDP. c-ares repeats a question without it for a server that does not know it.
        flags = pycares.ARES_FLAG_EDNS
        flags |= 0 if settings.domains else pycares.ARES_FLAG_NOSEARCH
        flags |= pycares.ARES_FLAG_USEVC if settings.tcp else 0
        try:
            self.cares = pycares.Channel(
                flags=flags,
                sock_state_cb=self._watch,
                servers=settings.servers,
                domains=settings.domains,
                ndots=settings.ndots,
                timeout=settings.timeout,
                tries=settings.attempts,
                rotate=settings.rotate,
            )
        except (pycares.AresError, UnicodeError) as error:
            raise LookupFailed(f"resolv.conf: {error}") from None
        self._timer = self._loop.call_later(_POLL_EVERY, self._poll)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.cares.cancel()
        for descriptor in list(self._watched):
            self._watch(descriptor, readable=False, writable=False)
        self._closed = True
        self.cares.close()

    async def query(self, begin: Callable[[Callable[[Any, int | None], None]], None]) -> Any:
        """Return the result of the query that `begin` starts with a callback. Raises LookupFailed."""
        outcome: asyncio.Future[Any] = self._loop.create_future()

        def done(result: Any, error: int | None) -> None:
            if outcome.done():
                return
            if error is None:
                outcome.set_result(result)
            else:
                reason = _REASONS.get(error) or str(pycares.errno.strerror(error))
                outcome.set_exception(LookupFailed(reason, definite=error in _DEFINITE))

        try:
            async with asyncio.timeout(_LOOKUP_TIMEOUT):
                begin(done)
                return await outcome
        except TimeoutError:
            raise LookupFailed(_REASONS[pycares.errno.ARES_ETIMEOUT]) from None
        except (UnicodeError, pycares.AresError, ValueError) as error:
            raise LookupFailed(str(error)) from None

    def _watch(self, descriptor: int, readable: bool, writable: bool) -> None:  # noqa: FBT001 - as c-ares calls it
        if self._closed:
            return  # called from the thread in which pycares destroys a channel
        loop = self._loop
        if descriptor in self._watched:
            loop.remove_reader(descriptor)
            loop.remove_writer(descriptor)
            self._watched.discard(descriptor)
        if readable or writable:
            self._watched.add(descriptor)
        if readable:
            loop.add_reader(descriptor, self.cares.process_read_fd, descriptor)
        if writable:
            loop.add_writer(descriptor, self.cares.process_write_fd, descriptor)

    def _poll(self) -> None:
        """Let c-ares notice that time has passed."""
        self.cares.process_fd(pycares.ARES_SOCKET_BAD, pycares.ARES_SOCKET_BAD)
        self._timer = self._loop.call_later(_POLL_EVERY, self._poll)
