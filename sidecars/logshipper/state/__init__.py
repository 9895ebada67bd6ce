"""The state on disk: how far each sink has each file, and which batches were in flight. It survives kill -9.

    tails and sink queues ──changes──▶ Store ──each change──▶ journal-<n>      (written, not flushed)
                                         └─────each second──▶ positions.json  (a snapshot, flushed and renamed)
    at the start:  positions.json + the journals from its number on ──▶ State

- `checkpoint`: `State` and the format of the two files. Pure.
- `file_state`: what is known of one file, in as little memory as possible. Pure.
- `sent_batches`: the batches in flight, with the instant at which each was collected. Pure.
- `saved_values`: checks each value that a state file gave, since its checksum proves nothing about who wrote it. Pure.
- `store`: the directory, its lock, and when which file is written. `snapshot_file` writes one of them.

Read `checkpoint` first: it explains why there are two files.
"""
