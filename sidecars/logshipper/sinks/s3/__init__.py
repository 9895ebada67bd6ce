"""Object stores: the sink `s3://`, for AWS and other stores with its protocol. Packed batches go in, objects come out.

    delivery.packing ─► object_pack (one compressed stream for each object of the batch)
                              │
    deliver ─► s3 ─► upload ─┤ object_keys: the key of each object, which follows from the batch
                      │
                      └─► store ─► signed requests ─► the store ─► answers ─► done, again, RetryLater, BatchTooLarge

- `s3`: the sink. It says when a batch is accepted, and how a repeat becomes the same object. Read it first.
- `object_pack`: partitions the events of a batch and compresses them while the batch is collected.
- `object_keys`: the keys of objects: the template, and the end that makes a resend the same object. Pure.
- `upload`: one PUT, or several parts. Nothing of an upload is left behind by a clean stop.
- `store`: addresses, signs and sends requests. It corrects the clock and renews the credentials.
- `answers`: the meaning of a store's answers. Pure.
"""
