"""A small name server on loopback, over UDP and TCP, with answers and failures that a test sets."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from tests.support import free_port

_BUFFER = 65_535
_WITHOUT_EDNS = 512  # bytes of an answer over UDP


class NameServer:
    """The name server. `failure` is the response code for all questions, if it is set; `asked` counts questions."""

    def __init__(self) -> None:
        self.port = free_port()
        self.failure: dns.rcode.Rcode | None = None
        self.failing: set[str | tuple[str, str]] = set()  # names, or (name, record type), that get SERVFAIL
        self.silent = False
        self.may_answer = threading.Event()  # cleared, each answer waits until it is set
        self.may_answer.set()
        self.garbled = False  # answers are random bytes, half of them with the right ID
        self.truncated = False  # UDP answers have no records and the flag TC
        self.asked: Counter[tuple[str, str]] = Counter()
        self.old = False  # True for a server without EDNS
        self.over_tcp = 0
        self._zone: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self._udp = socket.socket(type=socket.SOCK_DGRAM)
        self._tcp = socket.socket()
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for own in (self._udp, self._tcp):
            own.bind(("127.0.0.1", self.port))
        self._tcp.listen(16)
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def set_records(self, name: str, *records: str, kind: str = "A", ttl: int = 1) -> None:
        """Give the name these records of this type; without records it exists and has none."""
        self._zone[name, kind] = (ttl, list(records))

    def remove(self, name: str) -> None:
        """Remove the name: it does not exist any more."""
        for known in [known for known in self._zone if known[0] == name]:
            del self._zone[known]

    def resolv_conf(self, folder: Path, *more: str) -> Path:
        """Write a resolv.conf that names this server, and return its path."""
        file = folder / f"resolv-{self.port}.conf"
        file.write_text("\n".join([*more, f"nameserver 127.0.0.1:{self.port}", "options timeout:1 attempts:2", ""]))
        return file

    def close(self) -> None:
        for own in (self._udp, self._tcp):
            with contextlib.suppress(OSError):
                own.shutdown(socket.SHUT_RDWR)
            own.close()

    def _records(self, name: str, kind: str) -> list[dns.rrset.RRset]:
        """Return the records of the name, with its alias and the alias's records if it has one."""
        found = []
        if alias := self._zone.get((name, "CNAME")):
            found.append(dns.rrset.from_text_list(f"{name}.", alias[0], "IN", "CNAME", alias[1]))
            name = alias[1][0].rstrip(".")
        if (known := self._zone.get((name, kind))) and known[1]:
            found.append(dns.rrset.from_text_list(f"{name}.", known[0], "IN", kind, known[1]))
        return found

    def _answer(self, question: bytes, *, tcp: bool) -> bytes | None:
        query = dns.message.from_wire(question)
        if not tcp and self.old and query.edns >= 0:
            response = dns.message.make_response(query)
            response.use_edns(-1)
            response.set_rcode(dns.rcode.FORMERR)
            return response.to_wire()
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        kind = query.question[0].rdtype.name
        self.asked[name, kind] += 1
        self.may_answer.wait()
        if self.silent:
            return None
        if self.garbled:
            return (question[:2] if self.asked.total() % 2 else b"") + random.randbytes(random.randrange(200))
        response = dns.message.make_response(query)
        if self.failure is not None:
            response.set_rcode(self.failure)
        elif self.failing & {name, (name, kind)}:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif self.truncated and not tcp:
            response.flags |= dns.flags.TC
        elif records := self._records(name, kind):
            response.answer.extend(records)
        elif not any(each == name for each, _ in self._zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        wire = response.to_wire(max_size=_BUFFER)
        if not tcp and len(wire) > max(query.payload, _WITHOUT_EDNS):
            response.answer.clear()
            response.flags |= dns.flags.TC
            wire = response.to_wire(max_size=_BUFFER)
        return wire

    def _serve_udp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                question, sender = self._udp.recvfrom(_BUFFER)
                answer = self._answer(question, tcp=False) if question else None
                if answer:
                    self._udp.sendto(answer, sender)

    def _serve_tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._tcp.accept()
                threading.Thread(target=self._serve_peer, args=(peer,), daemon=True).start()

    def _serve_peer(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError, struct.error), peer, peer.makefile("rb") as stream:
            while True:
                (size,) = struct.unpack("!H", stream.read(2))
                self.over_tcp += 1
                answer = self._answer(stream.read(size), tcp=True)
                if answer:
                    peer.sendall(struct.pack("!H", len(answer)) + answer)


@contextlib.contextmanager
def name_server() -> Iterator[NameServer]:
    server = NameServer()
    try:
        yield server
    finally:
        server.close()
