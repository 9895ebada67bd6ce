"""Settings of inputs by family: each module is a base class of `InputSettings`.

    LOGSHIPPER_<NAME>_RENAME, … ──▶ field_settings.FieldSettings ──▶ input_settings.InputSettings

- `field_settings`: edits of the fields of records.
- `reduction_settings`: fewer events, and counters instead.
"""
