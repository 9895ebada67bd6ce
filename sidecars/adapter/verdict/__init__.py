"""Judge an app, and render the verdict in the prober's dialect. No I/O, except in `rule_file`.

In: the outcome of a request to an app. Out: a `Verdict` (pass, warn or fail, with its checks), and a `ProbeResponse`
that carries it in the dialect of one monitoring system.

    Outcome ─▶ judge ─▶ checks ─▶ hysteresis ─▶ Verdict ─▶ dialects ─▶ ProbeResponse
                 │                                 │           │
                 └─ rule_file: the rules           │           ├─ dialect_negotiation: the dialect of a request
                    in force                       │           └─ text_dialects, json_dialects: the bodies
                                                   └─ several apps or routes become one verdict

    verdict              Status, Check and Verdict: read this one first
    judge                one app's checks: from rules, or from its own health document
    rule_file            rules, read again when their file changes
    hysteresis           the decision whether a verdict may change now: FAIL_AFTER, PASS_AFTER, GRACE
    check_history        the checks of the last minutes, with the values of each rule, for `/status`
    dialects             the table of dialects: body, media type and HTTP statuses of each
    dialect_negotiation  the dialect of a request, by `Accept` and path
    verdict_page         the checks of a verdict that fit into one body
    text_dialects        text, Kubernetes, Consul, Nagios, HAProxy
    json_dialects        health+json, Spring Boot, MicroProfile
    probe_response       an HTTP response to a prober; the app's response forwarded
"""
