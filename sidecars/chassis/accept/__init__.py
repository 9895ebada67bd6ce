"""Listening sockets, and the connections that come in, from accept(2) to their first bytes.

Who connects may be hostile. So limits begin here, before a connection has a transport, a parser or a TLS session.

    Address ── listen ──▶ sockets ── acceptor ──▶ accepted socket ──▶ `take` of the server

listen        listening sockets from an `Address`, on both loopbacks; read it first
port_holder   the user that has a port which is taken
acceptor      accepts with a reserve of descriptors, and in turns with other processes
"""
