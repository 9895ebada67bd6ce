"""One upstream: the collaborators that all connections and exchanges with it share.

    DNS answers --> upstream --> balancer (balancing): which endpoint
                       |
                       +-- client_registry     the app's connections: admitted, ticked, drained
                       +-- admission           the queue of requests that wait for their start, a package of its own
                       +-- connection_pool     opens connections to endpoints
                       |     +-- idle_connections      those without an exchange
                       |     +-- upstream_connection   one connection of HTTP/1.1: it writes requests
                       |     |                         (request_writer) and reads responses
                       |     +-- http2                 connections of HTTP/2, each with many exchanges
                       +-- write_round         lets each connection of HTTP/2 write once for what one read has brought
                       +-- upstream_side       what an exchange and such a connection know of each other, and the parts
                       |                       that an exchange may have (ARCHITECTURE.md: kinds and parts)
                       +-- buffer_memory       the budget of buffered bytes, which all upstreams share
                       +-- retry_budget        how many retries the traffic may have
                       +-- counters, access_log        totals, and a line for each request
    health_checks      asks each endpoint, and reports to the balancer

Read `upstream` first, then `connection_pool` and `upstream_connection`. Nothing here imports the package `proxy`: an
exchange is known by the abstract classes of `upstream_side`, an app's connection by the Protocol `AppConnection`.
"""
