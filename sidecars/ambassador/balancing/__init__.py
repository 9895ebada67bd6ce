"""Load balancing: choose an endpoint for each attempt, and take failing endpoints out. No sockets; time is passed in.

    DNS ─────────── Balancer.update ───────┐
    health checks ─ Balancer.on_health_check ──▶ outlier_ejection ──▶ priority_tiers ──▶ policies.rebuild
    responses ───── Balancer.on_response ──┤
    failures ────── Balancer.on_failure ───┘
    a request ──▶ hash_key ──▶ Balancer.choose ──▶ policies.choose ──▶ an Endpoint

- `balancer`: the events above, and the choice for each attempt. Read this one first.
- `endpoint`: one address: its statistics and its cost.
- `outlier_ejection`: the states ready, ejected, probation and trial of one endpoint, and when it changes state.
- `failure_shares`: ejection by the share of failures, if it is set.
- `priority_tiers`: the endpoints that serve: the lowest priority with enough of them, or all of them in panic.
- `policies`: round robin, random, least request, peak EWMA and ring hash.
- `hash_ring`: consistent hashing. `hash_key`: the key of a request for it.
"""
