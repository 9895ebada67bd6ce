"""Listening sockets, and the connections that come in, from accept(2) to their first bytes.

Who connects may be hostile. So limits begin here, before a connection has a transport, a parser or a TLS session.

    Address ── listen ──▶ sockets ── acceptor ──▶ gate ──────────────────────────────▶ protocol of the server
                                                   │ budget: a place for the newcomer, an idle connection is shed
                                                   │ client_hello: a whole one, before there is a TLS session
                                                   └ starts: few at a time, peers by turns (transports, handshakes)

Read `gate` first, which has the states of a connection, and then `budget`. The data path of the ambassador has no gate:
it uses `listen`, `acceptor`, `longest_idle` and `buffered_bytes`.

listen          listening sockets from an `Address`, on both loopbacks
port_holder     the user that has a port which is taken
acceptor        accepts with a reserve of descriptors, and in turns with other processes
gate            the way from an accepted socket to its protocol
budget          the number of connections, by peers
peers           peers by their addresses
client_hello    the size of the first record of TLS
starts          the connections that get their transports, with TLS a handshake
turns           which of those that wait is the next
longest_idle    the idle connections to close, where a budget would cost too much
buffered_bytes  the bytes of unfinished requests of all connections
"""
