"""The state of the data path in numbers and words: the ambassador's part of `/status`.

    Upstream, its Endpoints ─▶ conditions ─▶ state, reason, since when ┐
                            ─▶ selection  ─▶ which endpoints are listed ├─▶ upstream_status ─▶ JSON ─▶ /status
                            ─▶ counters, pool, limits, buckets ────────┘                          └─▶ a worker's report
    error_words: the meaning of each error type of RFC 9209

Read `upstream_status` first; `conditions` has the words. Nothing here changes an object that it shows.
"""
