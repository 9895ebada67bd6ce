"""Send requests to the app, and interpret its responses.

In: an `AppRequest`, which is one GET that follows from the settings alone. Out: an `Outcome`, which is the app's
response with its interpretation, or the reason why there is none. An outcome comes by the request's deadline.

    AppRequest ─▶ client ─▶ app_connection ─▶ (the app) ─▶ interpretation ─▶ Outcome
                    │             │                              │
                    │             └─ failures: an exception      ├─ decompression
                    │                becomes a `NoResponse`      └─ packages exposition and health
                    ├─ background_threads: large pages are parsed beside the event loop
                    └─ app_statistics: counts for `/metrics` and `/status`

    outcome             the values that pass between all of these: read this one first
    client              one request in flight for any number of probers (single flight), the cache, the deadline
    app_connection      pooled connections, TLS and credentials of one app
    failures            exceptions of sockets, TLS and HTTP, each with its reason and its sentence
    decompression       bodies with a Content-Encoding, unpacked up to a limit
    interpretation      from the response to metrics, and to a health document where it is one
    background_threads  one thread for each app or route that has a large page
    app_statistics      numbers about one app, and its last answers
    recent_values       the values of the last five minutes, for a sparkline

All but `client`, `app_connection` and `background_threads` do no I/O.
"""
