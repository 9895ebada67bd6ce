"""The data that passes through logshipper, from bytes in a file to a batch for a sink, and the ledger that counts it.

    bytes of a file ──line_cutting──▶ Chunk ──transform.pipeline──▶ Records ──delivery──▶ Batch ──▶ sink
                                        │                              └ field_columns, times, severity
                 fingerprint: is it still the same file?
                 ledger: read = delivered + dropped + pending

In the order of the data's way:

- `line_cutting`: cut a block of bytes at line ends or event boundaries. `utf16_cutting`: of files in UTF-16. Pure.
- `chunk`: the bytes of one file that go to one sink, with the position before and after them.
- `fingerprint`: digests that tell whether a file still holds the bytes that were read from it. Pure.
- `field_columns`, `times`, `severity`: parsed fields, times and levels of many events.
- `records`: the events of one chunk, in columns.
- `batch`: records of one or more chunks on their way to one sink.
- `record_thread`: a thread that makes the records and bodies of large batches.
- `steps`: work on very many files, in steps.
- `ledger`: the accounts of each file and sink.

Read `chunk` first. This package does no I/O and imports nothing of logshipper.
"""
