"""Service discovery: the names of an upstream become endpoints, and stay as DNS or Kubernetes has them.

    resolv.conf ──▶ resolvconf.parse ──▶ cares_resolver.CaresResolver ◀── asks ── name servers
                                                  │ DnsAnswer
    dns_refresh.keep_refreshed: look up, wait ────┘
          │ on_dns_answer
          ▼
    the upstream ──▶ dns_target.DnsTarget.apply_answer ──▶ new and removed endpoints ──▶ the balancer

- `dns_target`: the endpoints of one target, for how long an answer is valid, and the addresses that DNS has removed.
  Pure, and the contract about stale addresses. Read this one first.
- `dns_refresh`: the loop that looks one target up again and again.
- `cares_resolver`: the look-up itself, through c-ares: A, AAAA and SRV.
- `resolvconf`: the parser of resolv.conf.
- `kubernetes`: the EndpointSlices of a Service, for a target of `k8s://`, and DNS while the API is away. Its answers
  are of the type `DnsAnswer`, too: they are complete, and so may be empty.

- `proxy_addresses`: the addresses of the proxy of an upstream, by the same contract.

A failed look-up never removes an endpoint. A target that is an IP address or a unix socket, or whose name a proxy looks
up, is one endpoint and never looked up.
"""
