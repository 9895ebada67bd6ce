"""The settings of one upstream: their types, and their declarations in families.

    environment ──▶ settings.Settings ──▶ UpstreamSettings  for each AMBASSADOR_<NAME>_UPSTREAM
                                              ▲
                                              └── TlsSettings and the other families, one for each part of the work

- `target_types`: the targets in `UPSTREAM`: schemes, hosts, ports, weights.
- `setting_types`: parsers of the other values, on top of the chassis' `setting_types`.
- `tls_settings`, `limit_settings`, `ejection_settings`: the declarations of one family each. A new family is a
  module beside it and a base of `UpstreamSettings`.
- `auth_settings`: the family of identity; `identity` has its checks.
- `upstream_settings`: all families together, and the settings that belong to none.

`sidecars.ambassador.settings` has the settings of the whole process, and the checks of several upstreams together;
`make docs` renders all of them into the README.
"""
