"""HTTP/2 (RFC 9113) and HPACK (RFC 7541): bytes in, checked messages and bytes out. No sockets, clock or event loop.

    bytes ──▶ frames ──▶ connection ──▶ receiving ──▶ decoder ──▶ heads ──▶ handler: a checked head, a body, its end
    bytes ◀── frames ◀── connection ◀── sending ◀──── encoder ◀── fields ◀─ its calls: a head, a body, its end
                             │
                             ├── streams        each stream's state, and how the last ones ended
                             ├── peer_settings  what the peer allows
                             └── work_limits    the work that a peer may cause without any progress

Modules in the order in which bytes pass them:

- `frames`: cuts frames and writes them; the numbers of the RFC. Read this one first.
- `connection`: one connection in either role, on `receiving` and `sending`. Read it next, with `handler`: the abstract
  class that it calls.
- `huffman`, `decoder`: HPACK from the peer. `encoder`: HPACK to the peer, without any state.
- `fields`: one field with its check and its re-encoded forms. `heads`: the fields of a message together.
- `grpc`: gRPC's rules: deadlines, statuses, outcomes for the balancer, health checks. It knows no connection.

Broken framing raises `frames.ProtocolError`: the connection ends with GOAWAY. A malformed message ends its stream alone
(`heads.MalformedMessage`). No byte of a peer is passed on unchecked.
"""
