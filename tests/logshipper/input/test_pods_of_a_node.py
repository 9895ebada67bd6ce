"""What the kubelet does with the files of Pods: it rotates, compresses and deletes them, and makes new ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.logshipper.node import Kubelet, Node
from tests.logshipper.pod import ROTATE_WAIT

SETTINGS = {"LOGSHIPPER_COMPRESSED": "auto", "LOGSHIPPER_EXCLUDE": "*.tmp"}


def named(namespace: str, pod: str, first: int, count: int) -> list[str]:
    return [f"{namespace} {pod} {number}" for number in range(first, first + count)]


def write(node: Node, namespace: str, pod: str, first: int, count: int = 5) -> list[str]:
    lines = named(namespace, pod, first, count)
    for line in lines:
        node.write(namespace, pod, 1, line=f"{line}\n")
    return lines


@pytest.mark.parametrize("whole", [True, False], ids=["everything was shipped before", "one line is shipped at a time"])
async def test_the_lines_of_each_pod_come_once_with_a_restart_at_each_step_of_the_rotation(
    tmp_path: Path, *, whole: bool
) -> None:
    node = Node(tmp_path, **SETTINGS)
    pods = [("shop", "web"), ("batch", "job")]
    written: list[str] = []
    for pod in pods:
        written += write(node, *pod, 0)
    kubelets = [Kubelet(node.logs / f"{namespace}_{pod}_uid-{pod}" / "app" / "0.log") for namespace, pod in pods]
    for round_ in range(3):
        for step in Kubelet.STEPS:
            node.look()
            node.ship(room=30, batches=1000 if whole else 1)
            for kubelet in kubelets:
                kubelet.take(step)
            await node.restart()
            node.look()
        for pod in pods:
            written += write(node, *pod, 5 * (round_ + 1))
    for _ in range(3):
        node.look(ROTATE_WAIT + 1)
        node.ship()
    assert sorted(node.got["default"]) == sorted(written)
    assert not node.dropped()


def test_the_files_of_a_pod_that_is_deleted_are_read_to_their_end(tmp_path: Path) -> None:
    node = Node(tmp_path, **SETTINGS)
    written = write(node, "shop", "web", 0, 20)
    node.look()
    node.ship(room=30, batches=1)
    shutil.rmtree(node.logs / "shop_web_uid-web")
    node.look()
    node.ship(room=30)
    assert node.got["default"] == written
    node.look(ROTATE_WAIT + 1)
    assert not node.follower.tails
    assert not node.dropped()


def test_a_container_that_starts_again_has_a_file_of_its_own_with_the_same_pod(tmp_path: Path) -> None:
    node = Node(tmp_path, **SETTINGS)
    write(node, "shop", "web", 0)
    folder = node.logs / "shop_web_uid-web" / "app"
    (folder / "1.log").write_text("after the restart\n")
    node.look()
    in_flight = node.send("default", node.queues["default"].collect(100_000))
    labels = {made.labels["restart"]: dict(made.labels) for made in in_flight.content.records}
    assert labels.keys() == {"0", "1"}
    assert labels["0"] | {"restart": "1"} == labels["1"]


async def test_records_that_are_sent_again_have_the_fields_of_the_first_time_although_the_file_has_another_name(
    tmp_path: Path,
) -> None:
    node = Node(tmp_path, **SETTINGS)
    write(node, "shop", "web", 0)
    await node.store.save()
    node.look()
    sent = node.send("default", node.queues["default"].collect(100_000))
    Kubelet(node.logs / "shop_web_uid-web" / "app" / "0.log").take("rename the log")
    node.kill()
    node.begin()
    ((chunks, at),) = node.queues["default"].resend()
    (again,) = node.process(chunks, at)
    (first,) = sent.content.records
    assert dict(again.labels) == dict(first.labels)
    assert again.labels["pod"] == "web"
