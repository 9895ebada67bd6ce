"""Work beside the exchanges of an upstream: hedges, and copies for a mirror. Loaded only where a setting asks.

    exchange ── on_start ──▶ companions    one object for each upstream, its `companion`
                                 |
                 ┌───────────────┴────────────────┐
                 v                                v
              hedging   the time of each hedge    mirror           which requests are copied, and how many at a time
                 |      `latency_quantile`           |
                 v                                   v
              hedge     a second attempt of the    mirror_copy     the app's side of an exchange of the other upstream;
                        same exchange                              it drops the response (`copied_request`)

Read `hedge` and `mirror_copy` first. `Companion`, `Hedge` and `BodyCopy` in `upstream.upstream_side` are all that an
exchange knows of this room.
"""
