"""Identity: how a process proves to others who it is. Settings, token files and services in, keys and tokens out.

    settings, profile, token files, STS, metadata ─► aws_sources ─► AwsKeys ─► aws_signature ─► signed request
                                                        │
                                                     service: one request, no redirect, few bytes
                                                        │
    token endpoints, metadata, federation files ───► token_places ─► AccessToken ─► the field Authorization

- `aws_signature`: Signature Version 4 of a request in its header, or in its query (presigned). Pure; read it first.
- `aws_sources`: the places from which AWS credentials come. `aws_answers`: what they answer. Pure. `local_keys`: those
  that are here already, in settings and files.
- `token_places`: the source of tokens by the settings. `token_sources`: the services of Google and Azure.
  `access_tokens`: what they answer. Pure. `google_federation`: a token of Google for one of another place.
- `oauth`: a token endpoint, and what proves to it which client asks.
- `service`: asks one of these services. `service_clock`: its time. Pure. `clock_skew`: the time of
  signatures, if this one is refused. Pure. `answers`: the exception of all, and what a header field can carry.
- `xml_elements`: single elements of short XML documents. Pure.

Nothing here is kept: when credentials are fetched again is decided by who uses them, the logshipper (`sinks.identity`)
and the ambassador (`proxy.identity`). A process without such a setting loads none of it; the settings that all share
are in `config.cloud_settings`.
"""
