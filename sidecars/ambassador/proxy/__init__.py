"""The way of one request or tunnel, from the app's connection to an endpoint's and back.

    app
     |  bytes                                                   bytes  ^
     v                                                                 |
    client_connection  parses heads, one exchange at a time     response_writer   writes, closes, lingers
     |  Request                                                        ^
     v                                                                 |
    exchange           the two bodies, flow control, ends       response_stream   a body that streams through
     |                                                                 ^
     v                                                                 |
    attempts           endpoint, connection, retries                   |
     |  request head and body (request_body)                           |
     v                                                                 |
    upstream.upstream_connection  ------- Response, pieces ------------+

Beside them: `request_buffer` keeps the bytes of unfinished requests within limits, `retry` decides which attempts are
repeated, `timeouts` has the table of all time-outs, `tunnel` joins two connections after 101, and `tcp_connection` is
the app's connection of an upstream that is not HTTP.

Read `exchange` first, then `client_connection` and `attempts`. Modules import only what lies below them; a contract in
pyproject.toml keeps it so. A lower module sees an exchange as an abstract class that it defines itself: mypyc compiles
this package, and calls the methods of an abstract class directly, but not those of a Protocol.
"""
