"""Service discovery: the names of an upstream become endpoints, and stay as DNS has them.

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

A failed look-up never removes an endpoint. A target that is an IP address is never looked up.
"""
