"""The ambassador: the one localhost address of the app, which forwards to the endpoints of the services outside.

    app ──▶ proxy ──▶ upstream ──▶ balancing ──▶ an endpoint
              │           ▲  ▲
              ▼           │  └── discovery: DNS names become endpoints
            http          └───── transport: sockets, TLS, keepalive

Rooms, from the outside to the inside:

- `workers`: several processes behind the same ports, if WORKERS is more than 1.
- `proxy`: the app's connections, exchanges of request and response, attempts and retries, tunnels.
- `upstream`: the objects that all exchanges with one upstream share: connections, admission, health checks, counters.
- `admission`: which request starts, waits or is refused.
- `balancing`: the choice of an endpoint, and outlier ejection.
- `discovery`: look-ups of names through c-ares.
- `http`: the messages of HTTP/1.1, without I/O.
- `transport`: the system's sockets: accepting, TLS, keepalive, disconnects, errors of connecting.

Modules of the root: `app` puts the parts together, `data_path` carries the traffic of one process, `settings` and
`setting_types` declare the settings, `status`, `metrics` and `endpoint_metrics` show the state. Read `app` first, then
`data_path`, then `proxy.client_connection`.
"""
