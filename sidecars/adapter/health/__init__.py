"""Read an app's own health document, or numbers from its JSON, and translate both into metrics. No I/O.

In: the body of a response and its HTTP status. Out: a `HealthDocument`, which is one form for all dialects, or a
`Selection` of numbers; and each of them as a metrics page, so that the rules can judge it like any other.

    JSON ─▶ strict_json ─┬─▶ json_documents ─────────▶ HealthDocument ─┐
                         └─▶ json_path_selection ────▶ Selection ──────┼─▶ to_metrics ─▶ metrics page
    text ─▶ kubernetes_lines ────────────────────────▶ HealthDocument ─┘

    documents            HealthDocument and Component, the one form of all dialects: read this one first
    strict_json          JSON, parsed without a guess
    json_documents       health documents of six dialects of JSON
    kubernetes_lines     health documents in text: Kubernetes' lines, or one word
    status_words         the meaning of `UP`, `passing`, `unhealthy`, …, and of an app's own words
    json_paths           the grammar of ADAPTER_SELECT
    json_path_selection  the numbers to which those paths lead
    to_metrics           metrics pages with names that do not depend on the dialect

A part of a document that is not understood is `unknown`, and never healthy.
"""
