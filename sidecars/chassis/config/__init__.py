"""Settings: environment variables in, one frozen dataclass out, and every mistake reported at once.

    settings.py of a sidecar            environment
      class Settings:                     ADAPTER_TIMEOUT=2s
        timeout = setting(duration(), …)      │
          │                                   ▼
          └──▶ specs(cls) ─────────────▶ load(cls, environ) ──▶ Settings(timeout=2.0)
                   │                          └──▶ SettingsError with a sentence for each problem
                   └──▶ --help, --check, the tables of the READMEs

Begin with `settings`: its docstring has the rules.

settings           loading of settings
declared_fields    their declaration, by `setting` and `group`
setting_types      the types of values: how a text is parsed and formatted; secrets; the roots of paths
effective_settings the values as text that may be shown, and as the roots of the process
help_text          the text of `--help`
check_report       the lines of `--check`
rates              rates such as 500/s, and an exact token bucket
urls               the types of URLs: what is shown of them
cloud_settings     the variables of the SDKs of AWS, Azure and Google Cloud
wrong_values       the sentences about wrong values
unused_settings    settings that are set and have no effect
source_position    line and column of a mistake in a longer text, such as a rule
"""
