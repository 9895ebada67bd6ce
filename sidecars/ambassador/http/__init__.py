"""HTTP messages: bytes in, judged messages and bytes out. No sockets and no event loop.

    bytes of a request  ──▶ request_head.RequestParser  ──▶ Request  ──▶ Request.head()  ──▶ bytes for the upstream
    bytes of a response ──▶ response_head.parse_response ─▶ Response ──▶ Response.head() ──▶ bytes for the app
    heads of HTTP/2     ──▶ http2_request, http2_response ─▶ the same two, which are written in either protocol
    bytes of a body     ──▶ bodies.body_reader(length)   ──▶ pieces  ──▶ bodies.encode_chunk ──▶ bytes of a body
    a failure           ──▶ local_replies.Cause          ──▶ local_replies.failure_reply ──▶ bytes for the app

Modules in the order in which a request passes them:

- `messages`: requests and responses as all others know them, in any protocol.
- `head_rules`: the strictness that both directions share, and `MessageRejected`. Read these two first.
- `fields`: the grammar of one field line, and a cache of lines that have been parsed.
- `header_edits`: the setting `HEADERS`: fields that are set, added and removed.
- `request_head`: parses the head of a request and writes it anew.
- `response_head`: parses the head of a response and writes it anew.
- `http2_request`, `http2_response`: messages that came in HTTP/2; `hpack_lines`: field lines of HTTP/1.1 in HPACK.
- `unfinished_head`: collects a head that comes in parts.
- `bodies`: finds the end of a body and writes chunks.
- `local_replies`: responses that the ambassador generates itself, with `Proxy-Status`.
- `bearer_token`: the `Authorization` that is sent instead of the app's; the only module here that reads a file.

A message that two parsers could understand differently raises `MessageRejected`. The connection that it came on is
closed.
"""
