"""The queue of a sink with the files of many Pods: a quiet one is not starved by noisy ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecars.logshipper.delivery.in_flight import InFlightBatch
from tests.logshipper.node import LINE, Node


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_line_of_a_quiet_pod_waits_for_two_batches_at_most_beside_ten_pods_with_a_backlog(node: Node) -> None:
    for number in range(10):
        node.write("batch", f"noisy-{number}", 20_000)
    node.look()
    node.batch()
    for number in range(50):
        node.write("shop", f"quiet-{number}", 1)
    node.look()
    seen = {**node.batch(), **node.batch()}
    assert {f"shop/quiet-{number}" for number in range(50)} <= seen.keys()


def test_the_containers_of_a_pod_share_its_turn(node: Node) -> None:
    for number in range(20):
        node.write("batch", "many", 2_000, container=f"c{number}")
    node.write("shop", "one", 8_000)
    node.look()
    first = node.batch()
    assert first["batch/many"] == pytest.approx(first["shop/one"], rel=0.02)


def test_namespaces_may_take_turns_instead_of_pods(tmp_path: Path) -> None:
    node = Node(tmp_path, LOGSHIPPER_FAIR_BY="namespace")
    for number in range(10):
        node.write("batch", f"noisy-{number}", 2_000)
    node.write("shop", "one", 8_000)
    node.look()
    got = node.batch()
    assert sum(size for name, size in got.items() if name.startswith("batch/")) == pytest.approx(
        got["shop/one"], rel=0.02
    )


def test_an_event_that_is_longer_than_a_turn_is_read_as_a_whole_and_holds_up_nobody(node: Node) -> None:
    for number in range(10):
        node.write("batch", f"noisy-{number}", 20_000)
    node.write("shop", "long", 1, line="y" * 300_000 + "\n")
    node.look()
    seen: dict[str, int] = {}
    for _ in range(3):
        seen |= node.batch()
    assert seen["shop/long"] == 300_001


async def test_everything_is_delivered_once_through_a_rotation_and_a_kill(node: Node) -> None:
    for number in range(4):
        node.write("batch", f"noisy-{number}", 3_000, line=f"{number}{LINE}")
    node.look()
    await node.store.save()
    events: list[tuple[str, int]] = []

    def deliver(in_flight: InFlightBatch) -> None:
        node.settle(in_flight)
        events.extend((made.chunk.generation, at) for made in in_flight.content.records for at in made.offsets)

    deliver(node.send("default", node.queues["default"].collect(512 * 1024)))
    path = node.logs / "batch_noisy-0_uid-noisy-0" / "app" / "0.log"
    path.rename(path.with_name("0.log.20261130-101112"))
    node.write("batch", "noisy-0", 10, line=f"new{LINE}")
    node.look()
    sent = node.send("default", node.queues["default"].collect(512 * 1024))
    node.kill()
    node.begin()
    ((chunks, at),) = node.queues["default"].resend()
    again = InFlightBatch("default", chunks, node.process(chunks, at), at=at)
    assert again.content.key == sent.content.key
    deliver(again)
    while chunks := node.queues["default"].collect(512 * 1024):
        deliver(node.send("default", chunks))
    assert not node.follower.unsettled
    assert len(events) == len(set(events)) == 4 * 3_000 + 10
