"""Settings of the sinks over HTTP: the proxy, and how a receiver knows us.

    environment ─► ProxySettings, CloudSettings ─┐
                                                 ├─► proxy_of, proxy_for ─► the proxy of a request, or none
    settings of a sink ─► HttpSettings ──────────┴─► wrong_auth, tokens_in_clear ─► sentences about mistakes

- `http_settings`: all of it. What a setting needs to be checked is imported only where it is set.
"""
