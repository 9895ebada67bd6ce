"""Sockets and the operating system: what the data path needs beside the event loop. No HTTP.

    acceptor         accepts the app's connections, with a reserve of descriptors when they are scarce
    streams          the type of a transport, and how to reset one
    small_reads      reads few bytes at a time, while memory is short
    upstream_tls     the TLS context of an upstream
    connect_errors   from an error of the system or of TLS to a `Cause`
    host_routes      finds out if an address can be reached from this host at all
    tcp_keepalive    detects a peer whose host is gone, and counts what a peer has acknowledged
    disconnects      distinguishes an app that has left from one that has only sent EOF
    defects          counts unexpected exceptions, and logs each once
    ways             unix sockets, proxies, the PROXY protocol, PostgreSQL's start of TLS: loaded where one is set

The modules are independent of each other, except that `connect_errors` uses `host_routes` and `upstream_tls`, `ways`
uses `connect_errors`, and most of them the type in `streams`. Read that first. This package is not compiled.
"""
