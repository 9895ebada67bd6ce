"""Respond to probers: over HTTP, and over TCP for HAProxy's agent-check.

In: a prober's request. Out: a `ProbeResponse`, made from the outcomes of the requests to the route's apps.

    Request ─▶ probe_handler ─▶ auth ─▶ routes ─▶ a RouteHandler ─▶ ProbeResponse
                     │                              │
                     │                              ├─ ForwardHandler: the app's response as it is
                     │                              ├─ VerdictHandler: whether the apps are healthy (package verdict)
                     │                              └─ MetricsHandler: one metrics page of the apps (package rendering)
                     └─ route_statistics: counts for `/metrics`, last results for `/status`

    probe_handler     the HTTP port: the order of the steps of a request; read this one first
    auth              bearer tokens and passwords of probers
    routes            the table of routes, and the requests to the apps that follow from each
    route_handlers    what a handler is, and the mode `forward`
    verdict_handler   the mode `verdict`
    metrics_handler   the mode `metrics`
    limits            the most that probers may use
    haproxy_agent     the TCP port of HAProxy's agent-check
    route_statistics  responses, durations and verdicts of each route
"""
