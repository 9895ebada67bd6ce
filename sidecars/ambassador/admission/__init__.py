"""Admission of requests to one upstream: each starts at once, waits, or is refused. No I/O; time is passed in.

    a request ──▶ AdmissionQueue.admit ──▶ it starts, or waits for its turn
                  (admission_queue)

    with limits:  LimitedAdmission.admit ──┬──▶ it starts: fewer are under way than the limit
                  (limited_admission)      ├──▶ it waits (fair_queue): clients take turns
                         ▲                 └──▶ 503 or 429 with Retry-After
                         │
    responses ──▶ concurrency_limit: how many the upstream serves at once, from their latency

`deadline_field`: how long the app waits, read of its request and told to each endpoint. `making` loads the modules that
the settings need; only `admission_queue` is always there. Read it first.
"""
