"""The server of gRPC's interop tests, with grpcio: `python interop_server.py PORT [NAME]`, until SIGTERM.

It serves `grpc.testing.TestService` (grpc: doc/interop-test-descriptions.md) and `grpc.health.v1.Health`. Methods for
tests of ours are in the service `sidecars.Test`: `Who` answers with NAME and keeps the request, `Called` has all,
`Hold` is a stream that says its name at once and then is quiet, `Fail` fails with the status that the request names,
`Sleep` takes the milliseconds of the request. After SIGTERM calls in progress may end: grpcio sends GOAWAY.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc

from tests.ambassador.http2.protobuf import content, decode, encode, first, inner

Context = Any
STREAM_INITIAL, STREAM_TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"


def echo_metadata(context: Context) -> None:
    sent = dict(context.invocation_metadata())
    if STREAM_INITIAL in sent:
        context.send_initial_metadata(((STREAM_INITIAL, sent[STREAM_INITIAL]),))
    if STREAM_TRAILING in sent:
        context.set_trailing_metadata(((STREAM_TRAILING, sent[STREAM_TRAILING]),))


def end_as_asked(message: dict[int, Any], context: Context) -> None:
    """End the call with the status of field 7, if there is one."""
    if 7 in message:
        status = inner(message, 7)
        code = next(each for each in grpc.StatusCode if each.value[0] == first(status, 1))
        context.abort(code, content(status, 2).decode())


def payload(size: int) -> bytes:
    return encode({2: bytes(size)})


def empty_call(_request: bytes, context: Context) -> bytes:
    echo_metadata(context)
    return b""


def unary_call(request: bytes, context: Context) -> bytes:
    asked = decode(request)
    echo_metadata(context)
    end_as_asked(asked, context)
    if 8 in asked and not first(inner(asked, 8), 1) and first(inner(asked, 8), 1) != is_compressed(context):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "compressed, but should not be")
    if first(inner(asked, 6), 1):
        context.set_compression(grpc.Compression.Gzip)
    return encode({1: payload(first(asked, 2))})


def is_compressed(context: Context) -> int:
    return int(dict(context.invocation_metadata()).get("grpc-encoding", "identity") != "identity")


def streaming_output_call(request: bytes, context: Context) -> Iterator[bytes]:
    asked = decode(request)
    for each in asked.get(2, []):
        assert isinstance(each, bytes)
        time.sleep(first(decode(each), 2) / 1e6)
        yield encode({1: payload(first(decode(each), 1))})
    end_as_asked(asked, context)


def streaming_input_call(requests: Iterator[bytes], _context: Context) -> bytes:
    return encode({1: sum(len(content(inner(decode(request), 1), 2)) for request in requests)})


def full_duplex_call(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
    echo_metadata(context)
    for request in requests:
        yield from streaming_output_call(request, context)


class Own:
    """Methods of our own tests."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        self.calls: list[bytes] = []

    def who(self, request: bytes, _context: Context) -> bytes:
        self.calls.append(request)
        return self.name

    def called(self, _request: bytes, _context: Context) -> bytes:
        """Return the requests of all calls of `Who` so far, a line each."""
        return b"\n".join(self.calls)

    def hold(self, _request: bytes, context: Context) -> Iterator[bytes]:
        yield self.name
        over = threading.Event()
        context.add_callback(over.set)
        over.wait()

    def fail(self, request: bytes, context: Context) -> bytes:
        self.calls.append(request)
        code = next(each for each in grpc.StatusCode if each.value[0] == int(request))
        context.abort(code, f"as asked, by {self.name.decode()}")
        return b""

    def sleep(self, request: bytes, _context: Context) -> bytes:
        time.sleep(int(request) / 1000)
        return self.name

    def health(self, _request: bytes, _context: Context) -> bytes:
        return encode({1: 1})


UNARY, OUT, IN, BOTH = (
    grpc.unary_unary_rpc_method_handler,
    grpc.unary_stream_rpc_method_handler,
    grpc.stream_unary_rpc_method_handler,
    grpc.stream_stream_rpc_method_handler,
)


def handlers(own: Own) -> list[Any]:
    services: dict[str, dict[str, tuple[Any, Callable[..., Any]]]] = {
        "grpc.testing.TestService": {
            "EmptyCall": (UNARY, empty_call),
            "UnaryCall": (UNARY, unary_call),
            "StreamingOutputCall": (OUT, streaming_output_call),
            "StreamingInputCall": (IN, streaming_input_call),
            "FullDuplexCall": (BOTH, full_duplex_call),
        },
        "sidecars.Test": {
            "Who": (UNARY, own.who),
            "Called": (UNARY, own.called),
            "Hold": (OUT, own.hold),
            "Fail": (UNARY, own.fail),
            "Sleep": (UNARY, own.sleep),
        },
        "grpc.health.v1.Health": {"Check": (UNARY, own.health)},
    }
    return [
        grpc.method_handlers_generic_handler(service, {name: kind(call) for name, (kind, call) in methods.items()})
        for service, methods in services.items()
    ]


def main() -> int:
    port, name = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "python"
    server = grpc.server(
        futures.ThreadPoolExecutor(64), handlers=handlers(Own(name)), options=(("grpc.so_reuseport", 0),)
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    server.start()
    over.wait()
    server.stop(grace=10).wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
