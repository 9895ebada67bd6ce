"""The parts of `SinkSettings`, one module for each family of sinks whose settings are many.

    s3_settings: object stores ───────────┐
    kafka_settings: Kafka ────────────────┼► sink_settings.SinkSettings ─► s3_combinations, kafka_combinations
    stream_settings: Splunk, RELP, GELF ──┤                                (what does not fit together)
    schema_settings: names of members ────┘

`delivery_settings` is for all sinks: the inputs, the filter and the bounds of the retries.

The variables of AWS's SDKs are in `chassis.config.cloud_settings`: they are of the process, and others use them, too.
"""
