"""Times of events: texts of many forms to nanoseconds since 1970.

    column of texts ─► timestamps ─► column of nanoseconds; None where a text is not a time

- `timestamps`: a TIME_FORMAT as a reader of columns. Read this first.
- `time_patterns`, `epoch_times`, `time_parts`: the formats, and what they share.
- `written_times`: the way back, for records.
- `time_zones`: TIME_ZONE. `event_times`: the year, and the hour that comes twice, by what is known of the file.
"""
