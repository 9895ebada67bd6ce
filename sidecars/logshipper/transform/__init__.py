"""Transform: a chunk of a file in, its records out. Pure: no I/O and no clock.

    Chunk ─► framing ─► KEEP, DROP, SAMPLE  ─► redaction ─► parsing ─► time and level ─► Records
             events     patterns, reduction    Redactor     fields     field_extraction

Each step handles all events of a chunk at once, in columns. In the order of the data's way:

- `pipeline`: the steps of one input. Read it first. `pipeline_settings` lists the settings that it reads, and
  `pipeline_steps` creates the steps that they ask for.
- `event_texts`: the first steps, up to redaction.
- `sink_filter`: drops events that one sink does not want, from the records that are the same for all sinks.
- `framing`: whole lines to events, of one line or several.
- `reduction`: drops events by rules of number: SAMPLE, RATE_LIMIT; and counts lines: COUNT.
- `redaction`: replaces secrets and personal data.
- `parsing`: the text of an event to fields; takes time and level out of them.
- `patterns`: users' regexes in linear time, by RE2 or, where that is proved to be safe, by Python's `re`.
"""
