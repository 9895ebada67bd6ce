"""Reduction: fewer events of an input than the app writes, each of the others counted; and counters from lines.

    events ─► sampling ─► the events that are kept, their `sample_rate`; the others are `sampled` in the ledger
           ├► rate_limits ─► the events that pass, a quota for the journal; the others are `rate_limited`
           └► line_counters ─► Records.matches ─► once the batch is settled: match_totals ─► metrics

- `sampling`: SAMPLE, SAMPLE_KEY, SAMPLE_EXCEPT. A choice by hash, which is the same in each attempt.
- `token_buckets`: how many events of a key may pass now. `rate_limits`: the choice among the events of a chunk.
- `sink_limits`: RATE_LIMIT for one sink, with its two ways: read later, or drop.
- `selection`: keeps some events of a chunk, in all columns.
- `line_counters`: COUNT. `match_totals`: the sums, by input and counter.
"""
