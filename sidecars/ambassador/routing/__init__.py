"""The upstream of a port that a request is for, and its addresses on the other side. Pure; loaded if it is used.

    ROUTE ──▶ route_rules ──▶ route_table ── host, path, fields of a request ──▶ a Route: its upstream, its address map
                                 |
                            path_reading    refuses a path that servers could read in different ways
                                                                                      |
    the app's /orders/7  ──────────────────── address_map.outward ───────────────▶  /api/v2/7  of the upstream
    Location, cookies    ◀── response_addresses ◀── address_map.inward ──────────── /api/v2/8

Read `path_reading` first, then `route_table` and `address_map`. Settings: ROUTE, STRIP_PREFIX, REWRITE_RESPONSES, and
the path in UPSTREAM. `proxy/routed` has the exchanges that use this.
"""
