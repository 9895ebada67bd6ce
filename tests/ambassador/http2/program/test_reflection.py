"""Services that developers and platforms ask for, by grpc-go's own code: reflection, and `Watch` of health checks.

Reflection is a stream of questions and answers (grpc: doc/server-reflection.md), by which grpcurl, Postman and others
learn the methods of a server. The descriptions are read by Google's own protobuf.
"""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from tests.ambassador.http2 import interop_client, peers
from tests.ambassador.http2.protobuf import content, decode, encode, first, inner
from tests.ambassador.support import Ambassador
from tests.conftest import Start
from tests.support import PATIENCE

REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
HEALTH = "/grpc.health.v1.Health/"
SERVING, NOT_SERVING = 1, 2
ASLEEP = encode({2: [encode({1: 1, 2: 10_000_000})]})  # a response in ten seconds


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with peers.server("go", tmp_path_factory.mktemp("go")) as port:
        yield port


class Conversation:
    """A stream on which each question is asked after the answer to the one before."""

    def __init__(self, made: Any, method: str) -> None:
        self._questions: SimpleQueue[bytes | None] = SimpleQueue()
        self._answers = made.stream_stream(method)(
            iter(self._questions.get, None), timeout=PATIENCE, wait_for_ready=True
        )

    def ask(self, question: dict[int, int | bytes]) -> dict[int, Any]:
        self._questions.put(encode(question))
        return decode(next(self._answers))

    def end(self) -> list[bytes]:
        """Ask no more; return what comes still."""
        self._questions.put(None)
        return list(self._answers)


def test_a_client_of_reflection_lists_the_services_and_reads_their_descriptions_in_one_stream(
    start: Start, server: int
) -> None:
    with interop_client.channel(Ambassador(start, f"h2c://127.0.0.1:{server}").port) as channel:
        reflection = Conversation(channel, REFLECTION)
        listed = inner(reflection.ask({7: b"*"}), 6)
        names = [content(decode(each), 1) for each in listed[1] if isinstance(each, bytes)]
        assert names == [b"grpc.health.v1.Health", b"grpc.reflection.v1alpha.ServerReflection"]

        methods: dict[str, list[str]] = {}
        for name in names:
            described = inner(reflection.ask({4: name}), 4)
            file = FileDescriptorProto.FromString(content(described, 1))
            methods |= {f"{file.package}.{each.name}": [one.name for one in each.method] for each in file.service}
        assert methods == {
            "grpc.health.v1.Health": ["Check", "Watch"],
            "grpc.reflection.v1alpha.ServerReflection": ["ServerReflectionInfo"],
        }
        unknown = inner(reflection.ask({4: b"shop.v1.Orders"}), 7)
        assert first(unknown, 1) == 5
        assert reflection.end() == []


def test_a_watch_of_the_health_hears_of_a_change_after_a_silence_that_is_longer_than_every_timeout(
    start: Start, server: int
) -> None:
    timeouts = {"IDLE_TIMEOUT": "1s", "STREAM_IDLE_TIMEOUT": "1s"}
    ambassador = Ambassador(start, f"h2c://127.0.0.1:{server}", **timeouts)
    with interop_client.channel(ambassador.port) as channel:
        watch = channel.unary_stream(HEALTH + "Watch")(b"", wait_for_ready=True)
        assert first(decode(next(watch)), 1) == SERVING
        asleep = channel.stream_stream(interop_client.SERVICE + "FullDuplexCall")(iter([ASLEEP]), timeout=3)
        interop_client.fails(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: next(asleep))
        for state, text in ((NOT_SERVING, b"NOT_SERVING"), (SERVING, b"SERVING")):
            interop_client.unary(channel, "/sidecars.Test/SetHealth", text)
            assert first(decode(next(watch)), 1) == state
        watch.cancel()
