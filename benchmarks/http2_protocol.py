"""HTTP/2 without sockets, beside `hpack` and `h2`: reading a block of fields, and the protocol work of a unary call.

`python -m benchmarks.http2_protocol`. The blocks have the fields of gRPC's clients: grpcio (indexed fields, literals
without Huffman) and grpc-js (Huffman). A call is what a proxy does for it: read the request, check it, write it for the
endpoint, read the response with its trailers, and write it for the app. Ours is compiled as in the images; plain Python
stands beside it. Each figure is the best of ROUNDS, so that a busy machine affects it little.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import h2.config
import h2.connection
import h2.events
import hpack

from benchmarks.ambassador_peers import Form, compiled, plain
from benchmarks.figures import Comparison, Figure, conclude
from sidecars.ambassador.http2 import frames
from sidecars.ambassador.http2.connection import Connection
from sidecars.ambassador.http2.decoder import Decoder
from sidecars.ambassador.http2.encoder import encode_field
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.handler import DelegatingHandler
from sidecars.ambassador.http2.heads import RequestHead, ResponseHead
from sidecars.ambassador.http2.streams import Stream
from tests.ambassador.http2_support import Recorder
from tests.support import ROOT

ROUNDS = int(os.environ.get("ROUNDS", "7"))
BLOCKS, CALLS = 2000, 500  # in each round
MESSAGE = b"\0\0\0\0\x5f" + b"x" * 95
REQUEST = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/shop.v1.Orders/Get"),
    (b":authority", b"localhost:8500"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-python/1.85.0 grpc-c/52.0.0 (linux; chttp2)"),
    (b"grpc-accept-encoding", b"identity, deflate, gzip"),
]
TOKEN = (b"authorization", b"Bearer abcdefghijklmnopqrstuvwxyz0123456789")
RESPONSE = [(b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-encoding", b"identity")]
TRAILERS = [(b"grpc-status", b"0"), (b"grpc-message", b"")]


def best(work: Callable[[], None], count: int) -> float:
    """Return the microseconds of CPU for one of `count`, in the best round."""
    times = []
    for _ in range(ROUNDS):
        before = time.process_time()
        work()
        times.append(time.process_time() - before)
    return min(times) / count * 1e6


def blocks(kind: str) -> list[bytes]:
    """Return the first block of a connection, and the one that follows again and again."""
    encoder = hpack.Encoder()
    fields: list[tuple[bytes, bytes]] = list(REQUEST) + ([TOKEN] if "token" in kind else [])
    return [encoder.encode(fields, huffman="Huffman" in kind) for _ in range(2)]


def ids(kind: str) -> list[bytes]:
    """Return blocks that each insert a new id, as grpc-js does: no two are equal."""
    encoder = hpack.Encoder()
    encoder.encode(REQUEST)
    huffman = "Huffman" in kind
    return [
        encoder.encode([*REQUEST, (b"x-request-id", b"%032x" % (n * 7919))], huffman=huffman) for n in range(BLOCKS)
    ]


def decoding(kind: str, *, library: bool) -> float:
    first, second = blocks(kind)
    sequence = ids(kind) if "new id" in kind else [second] * BLOCKS

    def work() -> None:
        if library:
            theirs = hpack.Decoder()
            theirs.decode(first, raw=True)
            for block in sequence:
                theirs.decode(block, raw=True)
        else:
            ours = Decoder(65_536, 128)
            ours.decode(first)
            for block in sequence:
                ours.decode(block)

    return best(work, BLOCKS)


class App(Recorder):
    """The app's side of a proxy: it sends each request on to the endpoint's side."""

    def __init__(self) -> None:
        super().__init__()
        self.endpoint: Connection

    def on_request(
        self,
        stream: Stream,
        head: RequestHead,
        pieces: Sequence[bytes],
        *,
        end: bool,
        trailers: Sequence[Field],  # noqa: ARG002 - it has none
    ) -> None:
        start = b"".join([encode_field(name, value) for name, value in REQUEST[:4]])
        sent = self.endpoint.open_stream(start + head.encoded(), stream, end=False, is_head=False)
        self.endpoint.send_body(sent, pieces, end=end)


class Endpoint(Recorder):
    """The endpoint's side: it sends each response on to the app's side."""

    def __init__(self) -> None:
        super().__init__()
        self.app: Connection

    def on_response(
        self,
        stream: Stream,
        head: ResponseHead,
        pieces: Sequence[bytes],
        *,
        end: bool,  # noqa: ARG002 - it has trailers
        trailers: Sequence[Field],
    ) -> None:
        app, to = self.app, stream.user
        assert isinstance(to, Stream)
        app.send_head(to, encode_field(b":status", b"200") + head.encoded(), end=False)
        app.send_body(to, pieces)
        app.send_end(to, b"".join([field.encoded() for field in trailers]))
        app.release(to)


def call_frames(stream_id: int, head: bytes, trailers: bytes) -> bytes:
    """Return the frames of one message."""
    body = frames.frame_head(len(MESSAGE), frames.DATA, 0 if trailers else frames.END_STREAM, stream_id) + MESSAGE
    end = frames.head_frames(stream_id, trailers, end=True) if trailers else b""
    return frames.head_frames(stream_id, head, end=False) + body + end


def ours() -> float:
    """Return the microseconds of a call in the core of the ambassador."""
    requests, responses = hpack.Encoder(), hpack.Encoder()
    first = requests.encode(REQUEST, huffman=False)
    head = requests.encode(REQUEST, huffman=False)
    answers = [(responses.encode(RESPONSE), responses.encode(TRAILERS)) for _ in range(2)]

    def work() -> None:
        app, endpoint = App(), Endpoint()
        server = Connection(DelegatingHandler(app), is_client=False, max_header_size=65_536, max_headers=128)
        client = Connection(DelegatingHandler(endpoint), is_client=True, max_header_size=65_536, max_headers=128)
        app.endpoint, endpoint.app = client, server
        server.begin()
        client.begin()
        server.receive(frames.PREFACE + frames.settings_frame([]))
        client.receive(frames.settings_frame([(4, 1 << 30)]) + frames.window_update_frame(0, 1 << 30))
        server.receive(frames.settings_frame([(4, 1 << 30)]) + frames.window_update_frame(0, 1 << 30))
        for number in range(CALLS):
            stream_id = 2 * number + 1
            server.receive(call_frames(stream_id, head if number else first, b""))
            client.output()
            client.receive(call_frames(stream_id, *answers[number > 0]))
            assert server.output()

    return best(work, CALLS)


def theirs() -> float:  # noqa: C901 - the events of the library
    """Return the microseconds of the same call with `h2`."""

    def make(*, is_client: bool) -> h2.connection.H2Connection:
        made = h2.connection.H2Connection(h2.config.H2Configuration(client_side=is_client, header_encoding=None))
        made.initiate_connection()
        return made

    def work() -> None:
        encoders = hpack.Encoder(), hpack.Encoder()
        server, client = make(is_client=False), make(is_client=True)
        server.receive_data(
            frames.PREFACE + frames.settings_frame([(4, 1 << 30)]) + frames.window_update_frame(0, 1 << 30)
        )
        client.receive_data(frames.settings_frame([(4, 1 << 30)]) + frames.window_update_frame(0, 1 << 30))
        for number in range(CALLS):
            stream_id = 2 * number + 1
            request = call_frames(stream_id, encoders[0].encode(REQUEST, huffman=False), b"")
            for event in server.receive_data(request):
                if isinstance(event, h2.events.RequestReceived):
                    client.send_headers(stream_id, event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    client.send_data(stream_id, event.data, end_stream=True)
            client.data_to_send()
            response = call_frames(stream_id, encoders[1].encode(RESPONSE), encoders[1].encode(TRAILERS))
            for event in client.receive_data(response):
                if isinstance(event, h2.events.ResponseReceived):
                    server.send_headers(stream_id, event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    server.send_data(stream_id, event.data)
                elif isinstance(event, h2.events.TrailersReceived):
                    server.send_headers(stream_id, event.headers, end_stream=True)
            assert server.data_to_send()

    return best(work, CALLS)


KINDS = ("steady", "steady, token", "steady, Huffman", "a new id each", "a new id each, Huffman")


def measure() -> dict[str, float]:
    """Return what this process's form of the code takes, in microseconds."""
    return {**{kind: decoding(kind, library=False) for kind in KINDS}, "call": ours()}


def measured(form: Form) -> dict[str, float]:
    environ = {**os.environ, "PYTHONPATH": f"{form.code}:{ROOT}", "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "benchmarks.http2_protocol", "--measure"]
    found: dict[str, float] = json.loads(
        subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE).stdout
    )
    return found


def main() -> int:
    if sys.argv[1:] == ["--measure"]:
        print(json.dumps(measure()))
        return 0
    fast, slow = measured(compiled(sys.executable)), measured(plain(sys.executable))
    library = {**{kind: decoding(kind, library=True) for kind in KINDS}, "call": theirs()}
    figures, comparisons = [], []
    for kind in (*KINDS, "call"):
        name = f"block, {kind}" if kind != "call" else "a unary call"
        peer = "hpack" if kind != "call" else "h2"
        limit = 0.1 if kind == "call" or "id" not in kind else 0.25
        note = f"{fast[kind]:.2f} µs compiled, {slow[kind]:.2f} plain, {library[kind]:.1f} {peer}"
        figures.append(Figure(f"{name}: CPU beside {peer}", fast[kind] / library[kind], limit, note=note))
        values = {"ambassador": fast[kind], "plain Python": slow[kind], peer: library[kind]}
        comparisons.append(Comparison(name, "µs", values))
    return conclude("http2_protocol", figures, comparisons)


if __name__ == "__main__":
    sys.exit(main())
