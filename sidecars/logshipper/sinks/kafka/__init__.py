"""Kafka: a client of our own, which sends the records of a batch in one transaction.

    Batch ─► routing: topic, key, partition ─► protocol.record_batches ─► transactions ─► EndTxn ─► accepted
                                                                        └► idempotence (without transactions)
    cluster ─► connection ─► authentication ─► tokens
    (who leads, who coordinates)

- `kafka`: the sink. Read it first, then `transactions`, which says why every line is there once.
- `routing`: the partition of each event, and what the brokers have said about single events. Pure.
- `producing`: Produce requests to the leaders. `idempotence`: what remains without transactions.
- `cluster`: brokers, leaders and coordinators, and a connection to each. `connection`: requests and their responses.
- `authentication`, `tokens`: SASL.
- `protocol`: everything that is bytes. Pure.
"""
