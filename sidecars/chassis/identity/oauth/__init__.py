"""A client of OAuth 2.0: what proves to a token endpoint who asks. Settings and files in, tokens out.

    secret, or private_key ─► oauth_client ─► a form of client credentials ─► AccessToken

- `oauth_client`: the request, and the two kinds of proof. Read it first.
- `private_key`: signs with a key in PEM, by the OpenSSL of Python's `ssl` module.
"""
