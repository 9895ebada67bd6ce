"""The settings of inputs and sinks: their types, their declarations, and the checks that look at more than one setting.

    environment ──▶ settings.Settings ──┬─ InputSettings  for each LOGSHIPPER_<NAME>_PATHS   (input_settings)
                                        └─ SinkSettings   for each LOGSHIPPER_<NAME>_SINK    (sink_settings)

The modules, from the types of single values to the checks over all settings:

- `limits`: limits of memory that no setting changes.
- `header_pairs`: `name=value` pairs in a setting, as OpenTelemetry's variables have them.
- `sink_registry`: the table of sinks, by the scheme of the sink's URL. A new sink gets a row here.
- `url_forms`: what is right behind the host of a sink's URL, and what is shown of it.
- `setting_types`: parsers of values (globs, regexes, time formats, …), on top of the chassis' `setting_types`.
- `input_settings`, `sink_settings`: one declaration for each setting, with its type, default and help.
- `input_families`: bases of `input_settings`.
- `routing`: which sinks get the lines of which inputs.
- `own_paths`: the files that are never read as logs: state, sinks, dead letters, keys and secrets.
- `self_ingestion`: does a glob of an input match a file that a sink writes?
- `setting_combinations`: settings that are right each and do not fit together.

Read `input_settings` first. `sidecars.logshipper.settings` has the settings of the whole process; `make docs` renders
it into the README. This package imports `transform`, `volumes` and `model` only, to check a value by making its parser.
"""
