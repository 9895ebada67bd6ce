"""Framing: the bytes of a chunk to events.

    bytes ─► lines ─► joined to events ─► Events: texts, offsets, sizes

- `line_framing`: a line is an event, or `multiline` joins lines to one.
- `multiline`: finds the lines that go on with an event, such as a stack trace. `multiline_kinds` has their forms,
  `trace_splitter` applies them, and `dated_lines` tells the lines that need no look.
- `container_entries`: the entries of container runtimes, whose pieces of a long line are joined first. `cri` and
  `docker` read them.
"""
