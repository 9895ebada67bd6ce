"""The identity of this process for the endpoints of an upstream with AUTH: requests go out signed, or with a token.

    places ── settings ──▶ a source of chassis.identity
                               │ fetch: one at a time, before the end, with pauses after failures
                               ▼
                            keeper ── Credentials ──▶ token_identity: the field line of all requests
                               │                  └─▶ aws_identity: a signature of each request of each attempt
                               ▼                            │
          exchanges that wait, readiness                    ├── request_signature: Signature Version 4. Pure
                                                            └── chunk_signatures: a body that streams, in signed chunks

An exchange knows an `Identity` (`upstream.upstream_side`) and asks it three times: before an attempt (are there
credentials, is the body there?), when the request is written, and when the response's status has come. Read `keeper`
first, then `kept_identity`, the common part of both identities. A process without AUTH loads none of these modules.
"""
