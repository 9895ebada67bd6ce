"""The app's connection of an upstream that is not HTTP: a tunnel to one endpoint. Loaded only for such an upstream.

    app ── any bytes ──▶ tcp_connection ──▶ any endpoint

With PostgreSQL's protocol the app speaks plain text, and the servers want TLS. Then the beginning is read:

    app ── SSLRequest, GSSENCRequest ──▶ postgres_connection   answers N: encryption begins behind this process
        ── StartupMessage ────────────▶     │  ──▶ any endpoint, by TLS (`transport.ways`)
        ── CancelRequest ─────────────▶     │  ──▶ the endpoint of the session that it is about
                                         postgres_server_end   notes the session of an endpoint (BackendKeyData)

Behind the beginning it is a tunnel as any other: no message is looked at. Read `tcp_connection` first.
"""
