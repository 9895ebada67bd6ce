"""Turns: which file a sink reads next, and how much of it.

    files with lines ──┬──► name_turns ──────────────────► the next file, and the bytes that it may give
                       └──► file_groups ──► fair_turns ──►

- `name_turns`: names of files in turns.
- `fair_turns`: groups of files in turns, by deficit round robin, where an input has PATH_FIELDS.
- `file_groups`: the group of a file, such as its Pod.
"""
