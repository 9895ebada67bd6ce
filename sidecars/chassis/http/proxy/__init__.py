"""HTTP proxies: the choice of one, and connections through it.

    settings, NO_PROXY, host ─► proxies: Proxy, or None
                                          │
    HttpClient ─► tunnel: ProxyConnector ─┴─► proxy ─► CONNECT ─► TLS with the host
                                                        └── connect_exchange: the request and its response

The logshipper uses all of it, for its sinks over HTTP. The ambassador uses `proxies` and `connect_exchange`, and opens
its connections itself. A process without a proxy does not load it.
"""
