"""Settings of the whole process by family: each module is a base class of `Settings`.

    LOGSHIPPER_TAIL_LISTEN, … ──▶ tail_settings.TailSettings ──▶ settings.Settings

- `tail_settings`: the live tail.
"""
