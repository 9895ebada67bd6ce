"""Settings of the sinks over HTTP: the proxy, and how a receiver knows us.

    environment ─► ProxySettings, CloudSettings ─┐
                                                 ├─► proxy_of, proxy_for ─► the proxy of a request, or none
    settings of a sink ─► HttpSettings ──────────┴─► wrong_auth, tokens_in_clear ─► sentences about mistakes

- `http_settings`: all of it. The modules that check a setting are imported only where it is set.
"""
