"""Lifting: values that are taken out of the fields of events and become a column of the records.

    fields ─► times    ─► Records.times, the other fields
           ─► levels   ─► Records.levels, the other fields
           ─► messages ─► the fields, with the `message` in its place

Each module has the reader of one column; `known_levels` are those that are found without being asked for.
`parsing.field_extraction` takes a field out of all events at once.
"""
