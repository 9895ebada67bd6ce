"""HTTP/2 to endpoints, in the client role: one connection carries many attempts, each as a stream.

    connection_pool ── which connection? ──▶ stream_pool ── a stream for an attempt ──▶ endpoint_stream
                                                 │                                         │  UpstreamSide
                                                 └── opens few ──▶ endpoint_connection ◀───┘
                                                                    │  bytes of the transport
                                                                    └──▶ http2.connection (pure)

- `endpoint_connection`: one connection; it is the handler of the pure core. Read this one first.
- `endpoint_transport`: its lower half, with the transport.
- `endpoint_stream`: one attempt on it: the upstream side of an exchange.
- `stream_pool`: the few connections of each endpoint, and the attempts that wait for a stream.
- `undecided`: a connection whose protocol the TLS handshake selects (ALPN).
- `single_request`: a connection for one request, such as a health check.
"""
