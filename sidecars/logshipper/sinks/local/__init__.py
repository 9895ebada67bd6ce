"""Sinks on the machine: the standard output, and files in a directory.

    Batch ─► stdout    lines to the container's log
    Batch ─► file ─► numbered_rotation    the newest file has the plain name, older ones a number

Each has one batch in flight. Written events are accepted: `file` flushes it to the disk first.
"""
