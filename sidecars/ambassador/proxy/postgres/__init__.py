"""PostgreSQL between an app that speaks plain text and servers that want TLS. Loaded only where UPSTREAM says so.

    app ── SSLRequest, GSSENCRequest ──▶ connection         answered with N: encryption begins behind this process
        ── StartupMessage ────────────▶     │  ──▶ any endpoint, by TLS (`transport.ways`)
        ── CancelRequest ─────────────▶     │  ──▶ the endpoint of the session that it is about
                                         server_end         notes which session an endpoint has begun (BackendKeyData)

Behind the beginning it is a tunnel as any other: no message is looked at.
"""
