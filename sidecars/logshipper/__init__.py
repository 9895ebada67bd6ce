"""logshipper: tails the log files that the app writes on a shared volume, and ships them.

    files ──▶ input ──Chunk──▶ transform ──Records──▶ delivery ──Batch──▶ sinks ──▶ receivers
                │                                        │
                └──────── state (positions) ─────────────┘      model: Chunk, Records, Batch, Ledger

A position moves only when the sink has accepted everything before it. The packages, each above those below it:

- `delivery`: collects batches, delivers them, retries, and moves the positions.
- `input`: finds and follows the files. `sinks`: one module for each kind of receiver.
- `config`: the settings of inputs and sinks.
- `transform`: makes records of bytes. `state`: the positions on disk.
- `model`: the data that all of them share.

Read `app` first: it wires the parts together and has the table of readiness and of the ends.
"""
