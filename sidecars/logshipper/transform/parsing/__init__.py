"""Parsing: the text of an event to fields, and fields to the time and the level of a record.

    texts ─► parsers ─► field columns ─► field_extraction ─► time, level, the other fields

- `formats`: the values of FORMAT, of one step or of two; `two_steps` joins the parsers of two.
- `parsers`: JSON, logfmt and users' regexes.
- `json_passthrough`: keeps the text of a JSON object as the app wrote it, where nothing has to be changed.
- `label_sources`: the syntax of SINK_LABELS; `sinks.encodings.loki_streams` has the values.
- `name_templates`: the syntax of `logs-{tenant}-%Y.%m.%d`; `sinks.encodings.target_names` has the values.
- `path_fields`: PATH_FIELDS: fields of a file from its path, such as the Pod's name on a node.
- `field_paths`: names of fields in settings, also of fields inside of others, and lists of candidates.
- `own_records`: FORMAT=record: records of ours, with their own ids, such as dead letters that are sent again.
- `entry_fields`: adds the fields of a container's entries.
- `field_edits`: RENAME, COPY, REMOVE, ADD and FLATTEN.
- `field_extraction`: takes time and level out of the fields, and renames fields with reserved names.
"""
