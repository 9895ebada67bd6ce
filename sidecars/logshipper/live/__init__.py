"""The live tail: shows events to the people who look, as they are read, and never makes shipping wait.

    shipper ──▶ LiveTail.observe ──▶ (the loop's next turn) ──▶ encoded lines ──▶ Viewer ──▶ TailServer ──▶ client
                 any thread            a share of a core          all viewers        rate,     chunked NDJSON
                                                                                     queue

- `tail_server`: HTTP: `GET /tail`, the token, refusals. Read it first.
- `live_tail`: the viewers, and which events they are offered. The work for them has a limit.
- `viewer`: one client: what it wants, what it gets, what is skipped. Pure.
- `tail_query`: the query of a request. Pure.

A process without TAIL_LISTEN loads none of it.
"""
