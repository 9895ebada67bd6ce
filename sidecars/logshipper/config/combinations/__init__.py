"""Settings that are valid alone and do not fit together, one module for each family of them.

    settings.Settings ───────┬► input_needs, sink_needs   what has no effect beside the others
                             ├► setting_combinations ─┬► field_combinations      edits, records, labels of Loki
                             │                        ├► reduction_combinations  SAMPLE, RATE_LIMIT, COUNT
                             │                        ├► path_combinations       fields of paths
                             │                        └► kafka_combinations      Kafka
                             ├► place_combinations     directories that are written, read and owned
                             └► s3_combinations        object stores

The others are in `config.setting_combinations`. `tests/logshipper/config/combinations/test_effects.py` proves for pairs
of an input's settings that none of them is without an effect.
"""
