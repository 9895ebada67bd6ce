"""Sinks with a protocol of their own over TCP or TLS.

    Batch ─► encodings: messages ─► a connection that stays open ─► receiver ─► its acknowledgement, if it has one

- `forward`: the protocol of Fluentd and Fluent Bit, with an acknowledgement of each chunk.
- `relp`: syslog messages over RELP, with a response to each: `relp_session` has the protocol, without I/O.
- `nats`: records into a stream of NATS JetStream: `nats_session` has the protocol, without I/O.
- `stream_connection`: the receiver of `nats` and `relp`: a connection that stays open, the idle ones, and an attempt.
- `syslog`, `gelf`: RFC 5424 frames, GELF messages. There is no acknowledgement: `kernel_acknowledged` has what there
  is, and their pages in `docs/reference/logshipper` say what that means.
"""
