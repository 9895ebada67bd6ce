"""Ways to an endpoint that are more than a connection of TCP, with or without TLS. Loaded only where one is set.

    way            which steps lead to an endpoint, and the steps:

        unix socket ┐
        TCP ────────┼─▶ PROXY header ─▶ SSLRequest ─▶ TLS ─▶ the connection's own protocol
        proxy ──────┘
          └─ TCP ─▶ TLS with the proxy ─▶ CONNECT

    opening        a connection during these steps: what comes is held, and given to the protocol behind it
    proxy_protocol the header of the PROXY protocol, version 2. Pure
    postgres       what PostgreSQL's protocol says before TLS. Pure

Each step is optional. Whatever fails is a `ConnectFailed` with its cause, as is a step that is late: see `way.Steps`.
"""
