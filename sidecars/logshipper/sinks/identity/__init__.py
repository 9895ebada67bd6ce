"""Identity: proves to a receiver who sends the request. Credentials in, header fields or a query out.

    settings ─► aws_credentials ─► AwsKeys, which are kept ────► chassis.identity.aws_signature ─► signed request
                     │  from chassis.identity.aws_sources
    settings ─► token_services ─► token_cache ─► AccessToken ──► the field Authorization
                     │  from chassis.identity.token_sources

- `request_signing`: the header fields of one request by SINK_AUTH, for the sinks over HTTP. Read it first.
- `aws_credentials`: gets new credentials in time, before the old ones end.
- `token_cache`: tokens that are renewed in time. `token_services`: the service that the settings of a sink choose.

The places, the requests to them and the signature are those of the ambassador, too: `chassis.identity`.
"""
