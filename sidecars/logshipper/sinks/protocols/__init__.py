"""Protocols: the parts of a peer's protocol that several sinks share, or that are worth a module of their own.

    credentials ─► http_post ─► http_client ─► the receiver ─► http_outcome ─► accepted, RetryLater, BatchRefused,
                                    │                               │          BatchTooLarge
                                connecting                      chassis.http.peer_text: its error message

For HTTP (`http`, `loki`, `elasticsearch`, `otlp`), in the order of a request:

- `credentials`: the Authorization header field, further header fields and TLS files of a sink.
- `signing`: the interface of what identifies us in each request by more than that; `sinks.identity` implements it.
- `http_post`: one request with the credentials of the moment. Read it first.
- `http_client`: the connection to one receiver; its errors become `RetryLater`.
- `http_outcome`: the table of HTTP statuses: accepted, refused, too large, or later.
- `loki_refusal`: reads from a 400 of Loki's which entries it refused.

For TCP (`forward`, `syslog`):

- `connecting`: opens a connection; its errors become a sentence.
- `forward_handshake`: HELO, PING and PONG of the Forward protocol. Pure.

For all: `chassis.http.peer_text` makes a text of the receiver's safe for a log line.
"""
