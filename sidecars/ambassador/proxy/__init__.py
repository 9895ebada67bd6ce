"""The way of one request or tunnel, from the app's connection to an endpoint's and back.

    app
     |  bytes                                                   bytes  ^
     v                                                                 |
    client_connection  parses heads, one exchange at a time     response_writer   writes, closes, lingers
     |  Request                                                        ^
     v                                                              app_side      what an exchange knows of the app
    exchange           the response, time-outs, ends                   ^
     |                                                                 |
     v                                                                 |
    sending            the request, its body, flow control             |
     |                                                                 |
     v                                                                 |
    attempts           endpoint, connection, retries                   |
     |  request head and body (request_body)                           |
     v                                                                 |
    upstream.upstream_side  ------------- Response, pieces ------------+

An app that speaks HTTP/2 has an `http2_connection` (on `http2_transport`, around the pure core in the package `http2`)
instead of the first, and an `http2_stream` for each exchange instead of the last.

Beside them: `request_buffer` keeps the bytes of unfinished requests within limits, `retry` decides which attempts are
repeated, `timeouts` has the table of all time-outs, `tunnel` joins two connections after 101, and `tcp` has the app's
connection of an upstream that is not HTTP.

An exchange is composed. Its kind is a class, and has the rules of time, outcome and end: `exchange`, `grpc`, or
`routed.rewriting`. No two kinds meet in one exchange. Each feature that can meet another one is a part: an object with
an abstract class in `upstream.upstream_side`, None unless a setting asks for it (`observed`, `beside`, `identity`).

Read `exchange` first, then `client_connection`, `sending` and `attempts`. Modules import only modules below them; a
contract in pyproject.toml keeps it so. A lower module sees an exchange as an abstract class that it defines itself:
mypyc compiles this package, and calls the methods of an abstract class directly, but not those of a Protocol.
"""
