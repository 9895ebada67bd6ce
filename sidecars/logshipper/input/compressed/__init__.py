"""Compressed rotated files: reads `app.log.2.gz` as text, and tells whether it was read before it was compressed.

    copies: what a scan has found
       │
    a compressed file ──▶ inspection ──▶ the generation that it is a copy of, or a new one
                                            │
                          content ◀── tail ◀┘     the text at an offset, for a tail that continues in the copy
                             │
                          decompression           gzip of several members, zstd of several frames

In: an open compressed file and the fingerprints of known generations. Out: what the file is, and its text by offsets.

Positions are offsets in the text. `copies` decides about a file that was inspected, `unlisted` when one is gone. Begin
with `inspection`.
"""
