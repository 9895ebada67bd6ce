"""Exchanges of a port whose requests are examined before they are sent: several upstreams, a base path, rewriting.

    client_connection, http2_connection ── if the port has routes ──▶ beginning
                                                                        |  routing.route_table: which upstream
                          exchange.Exchange, grpc.call.GrpcCall ◀───────┤  it gets the target that the app has asked for
                          one of these, with `refusal`          ◀───────┤  404, or 400 for a path with two readings
                          rewriting.RewritingExchange           ◀───────┘  responses with addresses to rewrite

Loaded with the first request to such a port. The rules are pure, in `sidecars.ambassador.routing`.
"""
