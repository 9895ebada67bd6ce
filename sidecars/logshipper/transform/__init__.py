"""Transform: a chunk of a file in, its records out. Pure: no I/O and no clock.

    Chunk ─► framing ─► KEEP, DROP ─► redaction ─► parsers ─► time and level ─► Records
             events     Finder        Redactor     fields     field_extraction

Each step handles all events of a chunk at once, in columns. In the order of the data's way:

- `pipeline`: the steps of one input. Read it first. `pipeline_settings` lists the settings that it reads.
- `framing`: whole lines to events; `multiline` joins lines to one event, `cri` reads the format of container runtimes.
- `redaction`: replaces secrets and personal data; `redaction_presets` has the patterns of the names in `REDACT`,
  and `pem_keys` the lines of a key that are events of their own.
- `parsers`: the text of an event to fields; `json_passthrough` keeps JSON objects as the app wrote them.
- `field_extraction`: takes time and level out of the fields, and renames fields with reserved names.
- `linear_regex`: users' regexes in linear time, by RE2 or, if `ll1` proves that it is safe, by Python's `re`.
"""
