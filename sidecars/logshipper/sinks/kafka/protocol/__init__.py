"""Kafka's protocol. Pure: values in, bytes out, and the reverse.

    values ─► requests ─► wire ─► bytes ─► the broker ─► bytes ─► wire ─► responses ─► values, error_codes
    events ─► record_batches ─► bytes, within a Produce request

- `wire`: integers, strings and arrays. `requests`, `responses`: one function for each kind, and its versions.
- `record_batches`: records in columns. The hot path.
- `error_codes`: the meaning of each code for a sink. `progress`: the note of the last batch, in an offset's metadata.
- `murmur2`: the partition of a key, as Java's producer computes it. `scram`: the mechanism of RFC 5802.
"""
