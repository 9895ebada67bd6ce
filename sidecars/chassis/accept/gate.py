"""The way of a connection from accept(2) to its protocol: its place in the budget, its first bytes, its start.

States of a connection at the gate:

    from        event                                                     to
    none        accepted, and the budget has or makes room                silent
    none        accepted, and all connections are working                 refused: 503 without TLS, and closed
    silent      bytes have come, without TLS                              starting
    silent      a whole ClientHello has come, with TLS                    starting, with a handshake
    silent      other bytes, an end, or too much time                     closed
    starting    it is done                                                begun: the protocol has the connection
    starting    it has failed, or is ended for another one                closed
    any         the budget sheds it                                       closed

A silent connection is a socket and nothing else: no transport, no parser, no TLS session. The kernel wakes the process
when there is something to do (SO_RCVLOWAT), and the bytes stay in the kernel (MSG_PEEK) until the protocol reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from sidecars.chassis.accept import client_hello
from sidecars.chassis.accept.acceptor import PeerAddress
from sidecars.chassis.accept.budget import Budget, Ticket
from sidecars.chassis.accept.peers import peer_key
from sidecars.chassis.accept.starts import Starts

if TYPE_CHECKING:
    from ssl import SSLContext

_HAS_ENDED = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)

MakeProtocol = Callable[[Ticket], asyncio.BaseProtocol]


class _Silent:
    """A connection whose first bytes have not come."""

    __slots__ = ("accepted", "deadline", "is_over", "needed", "ticket")

    def __init__(self, accepted: socket.socket, ticket: Ticket, deadline: float) -> None:
        self.accepted = accepted
        self.ticket = ticket
        self.deadline = deadline
        self.is_over = False  # True if it has bytes, or is closed
        self.needed = client_hello.HEADER  # bytes of its ClientHello, as far as it is known


class Gate:
    """Takes the connections that an acceptor has accepted, and gives them to protocols. A server owns it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        budget: Budget,
        make_protocol: MakeProtocol,
        *,
        busy: bytes,
        silence: float,
        tls: SSLContext | None = None,
    ) -> None:
        """`make_protocol` gets the ticket of the connection, and owns it from then on.

        `busy` is sent to a newcomer that is refused, without TLS. `silence` is the seconds that a client may take until
        its first bytes; with `tls` until its whole ClientHello, and then for the rest of the handshake.
        """
        self._loop = loop
        self._budget = budget
        self._make_protocol = make_protocol
        self._busy = busy
        self._silence = silence
        self._tls = tls
        self._starts = Starts(loop, self._start, with_tls=tls is not None)
        self._silent: dict[_Silent, None] = {}

    def take(self, accepted: socket.socket, address: PeerAddress) -> None:
        """Take a connection, and admit or refuse it."""
        ticket = self._budget.admit(peer_key(address), accepted.close)
        if ticket is None:
            self._refuse(accepted)
            return
        silent = _Silent(accepted, ticket, self._loop.time() + self._silence)
        ticket.on_shed = lambda: self._drop(silent)
        if self._tls is not None:
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, client_hello.HEADER)
        self._look(silent)
        if not silent.is_over:
            self._silent[silent] = None
            self._loop.add_reader(accepted, self._look, silent)

    def _refuse(self, accepted: socket.socket) -> None:
        if self._tls is None:
            with contextlib.suppress(OSError):
                accepted.send(self._busy)
                accepted.shutdown(socket.SHUT_WR)
        accepted.close()

    # -- silent -------------------------------------------------------------------------------------------------------

    def _look(self, silent: _Silent) -> None:
        """Look for its first bytes. Most clients send them at once, and need no place in the loop's poll then."""
        if not (self._has_bytes(silent) if self._tls is None else self._has_whole_hello(silent)):
            return
        self._leave(silent)
        if self._tls is not None:
            silent.accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        self._starts.add(silent.accepted, silent.ticket)

    def _has_bytes(self, silent: _Silent) -> bool:
        """Return True if there are any. Drop the connection if none can come."""
        try:
            if silent.accepted.recv(1, socket.MSG_PEEK):
                return True
        except BlockingIOError:
            return False
        except OSError:
            pass
        self._drop(silent)
        return False

    def _has_whole_hello(self, silent: _Silent) -> bool:
        """Return True if the whole ClientHello is there. Drop the connection if none can come."""
        accepted = silent.accepted
        try:
            beginning = accepted.recv(silent.needed, socket.MSG_PEEK)
            if silent.needed == client_hello.HEADER and len(beginning) == silent.needed:
                silent.needed = client_hello.record_size(beginning)
                beginning = accepted.recv(silent.needed, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            beginning, silent.needed = b"", 0
        if beginning and len(beginning) == silent.needed:
            return True
        if not silent.needed or _has_ended(accepted):
            self._drop(silent)
            return False
        if silent.needed == accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT):
            return bool(beginning)  # the kernel is short of memory, and cannot wait for more
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, silent.needed)
        return False

    def _leave(self, silent: _Silent) -> None:
        silent.is_over = True
        if silent in self._silent:
            self._loop.remove_reader(silent.accepted)
            del self._silent[silent]

    def _drop(self, silent: _Silent) -> None:
        silent.ticket.release()
        self._leave(silent)
        silent.accepted.close()

    def check_deadlines(self, now: float) -> None:
        """Close the silent connections whose time is over at the loop's time `now`."""
        for silent in list(self._silent):
            if silent.deadline > now:
                break  # they are in the order of their deadlines
            self._drop(silent)

    # -- the transport ------------------------------------------------------------------------------------------------

    def _start(self, accepted: socket.socket, ticket: Ticket) -> asyncio.Future[object]:
        """Give the connection a transport and its protocol, after a TLS handshake if it needs one."""
        if self._tls is None:
            connecting = self._loop.connect_accepted_socket(lambda: self._make_protocol(ticket), accepted)
        else:
            connecting = self._loop.connect_accepted_socket(
                lambda: self._make_protocol(ticket),
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=self._silence,
            )
        return self._loop.create_task(connecting)

    def close(self) -> None:
        """Close the connections that no protocol has yet."""
        for silent in list(self._silent):
            self._drop(silent)
        self._starts.close()


def _has_ended(accepted: socket.socket) -> bool:
    """Return True if the client has closed the connection, or its sending direction."""
    poll = select.poll()
    poll.register(accepted, getattr(select, "POLLRDHUP", 0))
    return any(events & _HAS_ENDED for _, events in poll.poll(0))
