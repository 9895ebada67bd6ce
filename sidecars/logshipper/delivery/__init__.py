"""Delivery: chunks of log files in, batches at a sink, positions that move when the sink has decided.

One shipper a sink; no shipper waits for another one. Read `shipper` first, then `retry`.

    log files ─► sink_queue ─► in_flight ─► batch_delivery ─► retry ─► Sink.deliver ─► the sink's decision
                      ▲                          ▲                                           │
                      │                          └── refused, too large: send the halves ────┤
                      │                                             later: send it again ────┤
                      └──── settle: the positions move ◄── rejections ◄── accepted, rejected ┘

In the order of the data's way:

- `shipper`: the loop of one sink, and the states of a batch.
- `sink_queue`: collects the next batch from all files, and moves the positions of settled batches.
- `turns`: which file is read next: names in turns, or Pods.
- `packing`: encodes and compresses a large batch while it is collected, for a sink that asks for it.
- `in_flight`: a batch from its collection to its settlement; the batches of a sink, oldest first.
- `batch_size`: the size of batches, learned from the refusals of a receiver (413).
- `batch_delivery`: brings one batch to its settlement; `refusal_search` finds the events for which a sink refuses it.
- `retry`: repeats a batch until the sink has decided on every event; `backoff` computes the pauses between attempts.
- `sink_availability`: the facts that the attempts have shown about the sink.
- `rejections`: counts events that the sink will never take; `dead_letters` writes them to a file.
"""
