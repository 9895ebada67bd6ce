"""Calls of gRPC: exchanges with rules of their own about time, repeats, outcomes and ends.

    http2_connection ── a request whose Content-Type is gRPC's ──▶ call.GrpcCall, an Exchange
                                                                     |
                         http2.grpc: deadlines, statuses, pushback ──┘

Read `call` behind `exchange`. The rules themselves are pure, in `sidecars.ambassador.http2.grpc`. Settings of calls:
GRPC_RETRY_ON, GRPC_IDEMPOTENT, MAX_STREAM_AGE.
"""
