"""The cases of gRPC's interop tests, with grpcio as the client (grpc: doc/interop-test-descriptions.md)."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import grpc
import pytest

from tests.ambassador.http2.protobuf import content, decode, encode, first, inner
from tests.support import PATIENCE

SERVICE = "/grpc.testing.TestService/"
INITIAL = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
TRAILING = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")
STATUS = encode({1: 2, 2: b"test status message"})
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"

Channel = Any


@contextlib.contextmanager
def channel(port: int, *options: tuple[str, Any], compression: Any = None) -> Iterator[Channel]:
    """Open a channel of its own connection: channels with equal options would share one."""
    own = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0), ("sidecars-test", random.random()))
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=(*own, *options), compression=compression) as made:
        yield made


def unary(made: Channel, method: str, request: bytes, **more: Any) -> tuple[bytes, Any]:
    """Return the response and the call, for its metadata. Raises grpc.RpcError."""
    response, call = made.unary_unary(SERVICE + method if "/" not in method else method).with_call(
        request, timeout=more.pop("timeout", PATIENCE), wait_for_ready=True, **more
    )
    return response, call


def fails(code: Any, run: Callable[[], object]) -> Any:
    """Run it, and return the error, which must have that status."""
    with pytest.raises(grpc.RpcError) as caught:
        run()
    error: Any = caught.value
    assert error.code() is code, (error.code(), error.details())
    return error


def size_of(response: bytes) -> int:
    return len(content(inner(decode(response), 1), 2))


def sized(size: int) -> bytes:
    """Return a request with a payload of that size: of StreamingInputCall, or of UnaryCall in field 3."""
    return encode({2: bytes(size)})


def asking(size: int, body: int) -> bytes:
    return encode({2: [encode({1: size})], 3: sized(body)})


def empty_unary(made: Channel) -> None:
    assert unary(made, "EmptyCall", b"")[0] == b""


def large_unary(made: Channel) -> None:
    response, _ = unary(made, "UnaryCall", encode({2: 314_159, 3: sized(271_828)}))
    assert size_of(response) == 314_159


def client_compressed_unary(made: Channel) -> None:
    compressed = encode({2: 314_159, 3: sized(271_828), 8: encode({1: 1})})
    assert size_of(unary(made, "UnaryCall", compressed, compression=grpc.Compression.Gzip)[0]) == 314_159


def server_compressed_unary(made: Channel) -> None:
    response, _ = unary(made, "UnaryCall", encode({2: 314_159, 3: sized(271_828), 6: encode({1: 1})}))
    assert size_of(response) == 314_159


def client_streaming(made: Channel) -> None:
    requests = (encode({1: sized(size)}) for size in (27_182, 8, 1_828, 45_904))
    response = made.stream_unary(SERVICE + "StreamingInputCall")(requests, timeout=PATIENCE)
    assert first(decode(response), 1) == 74_922


def server_streaming(made: Channel) -> None:
    sizes = [31_415, 9, 2_653, 58_979]
    request = encode({2: [encode({1: size}) for size in sizes]})
    responses = made.unary_stream(SERVICE + "StreamingOutputCall")(request, timeout=PATIENCE)
    assert [size_of(response) for response in responses] == sizes


def ping_pong(made: Channel) -> None:
    got: list[int] = []
    sizes = [(31_415, 27_182), (9, 8), (2_653, 1_828), (58_979, 45_904)]

    def requests() -> Iterator[bytes]:
        for number, (size, body) in enumerate(sizes):
            assert len(got) <= number
            yield asking(size, body)

    for response in made.stream_stream(SERVICE + "FullDuplexCall")(requests(), timeout=PATIENCE):
        got.append(size_of(response))  # noqa: PERF401 - the requests look at it meanwhile
    assert got == [size for size, _ in sizes]


def empty_stream(made: Channel) -> None:
    assert list(made.stream_stream(SERVICE + "FullDuplexCall")(iter(()), timeout=PATIENCE)) == []


def custom_metadata(made: Channel) -> None:
    _, call = unary(made, "UnaryCall", encode({2: 314_159, 3: sized(271_828)}), metadata=(INITIAL, TRAILING))
    assert INITIAL in call.initial_metadata()
    assert TRAILING in call.trailing_metadata()
    stream = made.stream_stream(SERVICE + "FullDuplexCall")(
        iter([asking(314_159, 271_828)]), timeout=PATIENCE, metadata=(INITIAL, TRAILING)
    )
    assert INITIAL in stream.initial_metadata()
    assert len(list(stream)) == 1
    assert TRAILING in stream.trailing_metadata()


def status_code_and_message(made: Channel) -> None:
    error = fails(grpc.StatusCode.UNKNOWN, lambda: unary(made, "UnaryCall", encode({7: STATUS})))
    assert error.details() == "test status message"
    stream = made.stream_stream(SERVICE + "FullDuplexCall")
    error = fails(grpc.StatusCode.UNKNOWN, lambda: list(stream(iter([encode({7: STATUS})]), timeout=PATIENCE)))
    assert error.details() == "test status message"


def special_status_message(made: Channel) -> None:
    request = encode({7: encode({1: 2, 2: SPECIAL.encode()})})
    assert fails(grpc.StatusCode.UNKNOWN, lambda: unary(made, "UnaryCall", request)).details() == SPECIAL


def unimplemented_method(made: Channel) -> None:
    fails(grpc.StatusCode.UNIMPLEMENTED, lambda: unary(made, "UnimplementedCall", b""))


def unimplemented_service(made: Channel) -> None:
    service = "/grpc.testing.UnimplementedService/UnimplementedCall"
    fails(grpc.StatusCode.UNIMPLEMENTED, lambda: unary(made, service, b""))


def cancel_after_begin(made: Channel) -> None:
    over = threading.Event()
    requests = (encode({}) for _ in range(1) if over.wait())  # none comes before the call is cancelled
    call = made.stream_unary(SERVICE + "StreamingInputCall").future(requests, timeout=PATIENCE)
    call.cancel()
    over.set()
    assert call.code() is grpc.StatusCode.CANCELLED


def cancel_after_first_response(made: Channel) -> None:
    call = made.unary_stream(SERVICE + "StreamingOutputCall")(
        encode({2: [encode({1: 31_415}), encode({1: 9, 2: 60_000_000})]}), timeout=PATIENCE
    )
    assert size_of(next(call)) == 31_415
    call.cancel()
    fails(grpc.StatusCode.CANCELLED, lambda: next(call))


def timeout_on_sleeping_server(made: Channel) -> None:
    """The server of ruby-grpc does not sleep: on a busy machine it can be quicker than the client's timer."""
    stream = made.stream_stream(SERVICE + "FullDuplexCall")
    request = encode({2: [encode({1: 31_415, 2: 1_000_000})], 3: sized(27_182)})
    codes: list[Any] = []
    while len(codes) < 50 and grpc.StatusCode.DEADLINE_EXCEEDED not in codes:
        try:
            codes.append(len(list(stream(iter([request]), timeout=0.001))))
        except grpc.RpcError as error:
            failed: Any = error
            codes.append(failed.code())
    assert set(codes) <= {1, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert grpc.StatusCode.DEADLINE_EXCEEDED in codes


CASES: Final[dict[str, Callable[[Channel], None]]] = {
    case.__name__: case
    for case in (
        empty_unary,
        large_unary,
        client_compressed_unary,
        server_compressed_unary,
        client_streaming,
        server_streaming,
        ping_pong,
        empty_stream,
        custom_metadata,
        status_code_and_message,
        special_status_message,
        unimplemented_method,
        unimplemented_service,
        cancel_after_begin,
        cancel_after_first_response,
        timeout_on_sleeping_server,
    )
}
OWN_SERVER_ALONE = frozenset({"client_compressed_unary", "server_compressed_unary", "special_status_message"})
"""Cases that the server of Debian's ruby-grpc does not have."""
