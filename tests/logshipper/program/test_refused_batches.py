"""The program with a receiver that refuses one line, and with one that refuses everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.conftest import Start
from tests.logshipper.receivers.elasticsearch import Elasticsearch
from tests.logshipper.support import Receiver, append, environ, metric, status
from tests.support import free_port, get, wait_until

PENDING = 'logshipper_pending_bytes{sink="default"}'
DROPPED = 'logshipper_dropped_lines_total{reason="rejected",sink="default"}'


class Picky(Receiver):
    """Responds with 422 to a body with an unreadable line, and with 400 to every body while it is `broken`."""

    broken = False

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if self.broken:
            return 400, b'{"error":"Content-Type is not \\u001b[2Jwhat this path takes"}'
        messages = [json.loads(line)["message"] for line in body.splitlines()]
        if "bad" in messages:
            return 422, b"n must be a number, and not 'bad'"
        return super().take(path, headers, body)


@pytest.fixture
def picky() -> Iterator[Picky]:
    with closing(Picky()) as running:
        yield running


def not_ready(admin: int) -> str:
    try:
        response = get(f"http://127.0.0.1:{admin}/readyz")
    except httpx.TransportError as error:
        return str(error)
    return "" if response.is_success else response.text


def test_one_line_that_gets_a_422_is_dropped_alone_and_told_with_the_receivers_words(
    tmp_path: Path, start: Start, picky: Picky
) -> None:
    admin = free_port()
    texts = [str(number) for number in range(5000)]
    texts[3210] = "bad"
    variables = environ(tmp_path, admin, LOGSHIPPER_SINK=picky.url)
    append(tmp_path / "logs" / "app.log", "".join(f"{text}\n" for text in texts))
    shipper = start("logshipper", **variables)
    shipper.wait_ready(admin)
    wait_until(lambda: metric(admin, PENDING) == 0, "all of it is decided")
    assert sorted(picky.messages()) == sorted(text for text in texts if text != "bad")
    assert metric(admin, DROPPED) == 1
    sink = status(admin)["sinks"]["default"]
    assert sink["last_rejection"]["reason"] == "the receiver responded with 422: n must be a number, and not '…'"
    assert sink["last_rejection"]["first_byte"] == len("".join(f"{text}\n" for text in texts[:3210]))
    assert sink["trouble"] == ""
    assert sink["balanced"]
    assert not_ready(admin) == ""
    logged = shipper.wait_logged("lines were dropped")
    assert (logged["reason"], logged["events"]) == (sink["last_rejection"]["reason"], 1)
    assert shipper.stop() == 0


def test_a_receiver_that_refuses_everything_loses_nothing_and_is_told_of(
    tmp_path: Path, start: Start, picky: Picky
) -> None:
    admin = free_port()
    variables = environ(tmp_path, admin, LOGSHIPPER_SINK=picky.url)
    log = tmp_path / "logs" / "app.log"
    picky.broken = True
    for number in range(5000):
        append(log, f"{number}\n")
    shipper = start("logshipper", **variables)
    words = r"the receiver responded with 400: Content-Type is not \x1b[2Jwhat this path takes"
    wait_until(lambda: words in not_ready(admin), "not ready, in the receiver's words")
    assert words in status(admin)["sinks"]["default"]["trouble"]
    assert words in shipper.wait_logged("the sink refuses every line; they are kept")["reason"]
    assert metric(admin, PENDING) == log.stat().st_size
    assert metric(admin, DROPPED) == 0
    shipper.kill()
    shipper = start("logshipper", **variables)
    wait_until(lambda: words in not_ready(admin), "not ready after kill -9 as well")
    picky.broken = False
    wait_until(lambda: metric(admin, PENDING) == 0, "all of it is taken")
    wait_until(lambda: not not_ready(admin), "ready")
    assert sorted(map(int, picky.messages())) == list(range(5000))
    assert status(admin)["sinks"]["default"]["trouble"] == ""
    assert shipper.stop() == 0


def test_at_the_end_a_receiver_that_refuses_everything_holds_it_up_no_longer_than_a_dead_one(
    tmp_path: Path, start: Start, picky: Picky
) -> None:
    admin = free_port()
    picky.broken = True
    variables = environ(tmp_path, admin, LOGSHIPPER_SINK=picky.url, LOGSHIPPER_DRAIN_TIMEOUT="10m")
    append(tmp_path / "logs" / "app.log", "1\n2\n3\n")
    shipper = start("logshipper", **variables)
    wait_until(lambda: "responded with 400" in not_ready(admin), "not ready")
    assert shipper.stop() == 69
    assert "stopped before all was shipped: 6 bytes for LOGSHIPPER_SINK (refused, and kept" in shipper.stderr


class Strict(Elasticsearch):
    """An index whose mapping excludes our fields while it is `broken`."""

    broken = True

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if not self.broken:
            return super().take(path, headers, body)
        error = {"type": "strict_dynamic_mapping_exception", "reason": "[file] is not allowed"}
        items = [{"create": {"status": 400, "error": error}}] * (body.count(b"\n") // 2)
        return 200, json.dumps({"errors": True, "items": items}).encode()


def test_an_index_that_takes_no_document_at_all_loses_none(tmp_path: Path, start: Start) -> None:
    admin = free_port()
    with closing(Strict()) as receiver:
        variables = environ(tmp_path, admin, LOGSHIPPER_SINK=receiver.url)
        append(tmp_path / "logs" / "app.log", "".join(f"{number}\n" for number in range(300)))
        shipper = start("logshipper", **variables)
        words = "refused every document: 400 strict_dynamic_mapping_exception: [file] is not allowed"
        wait_until(lambda: words in not_ready(admin), "not ready")
        assert metric(admin, DROPPED) == 0
        receiver.broken = False
        wait_until(lambda: len(receiver.documents) == 300, "all of them, once the mapping is mended")
        assert shipper.stop() == 0


class Crashing(Receiver):
    """Responds with 500 to a body with a line that it cannot digest."""

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if b"indigestible" in body:
            return 500, b"internal error"
        return super().take(path, headers, body)


def test_five_lines_of_fifty_thousand_for_which_a_receiver_fails_are_in_the_dead_letters_and_all_others_arrive(
    tmp_path: Path, start: Start
) -> None:
    admin, log = free_port(), tmp_path / "logs" / "app.log"
    texts = [str(number) for number in range(50_000)]
    for number in (17, 11_111, 22_222, 33_333, 44_444):
        texts[number] = f"indigestible {number}"
    with closing(Crashing()) as receiver:
        more = {"LOGSHIPPER_ON_REJECT": f"{tmp_path}/dead", "LOGSHIPPER_BATCH_SIZE": "16MiB"}
        variables = environ(tmp_path, admin, LOGSHIPPER_SINK=receiver.url, **more)
        append(log, "".join(f"{text}\n" for text in texts))
        shipper = start("logshipper", **variables)
        letters = tmp_path / "dead" / "default.ndjson"
        wait_until(lambda: letters.exists() and letters.read_bytes().count(b"\n") == 5, "five dead letters")
        wait_until(lambda: metric(admin, PENDING) == 0, "all of it is decided")
        assert len(receiver.requests) <= 150
        assert sorted(receiver.messages()) == sorted(text for text in texts if not text.startswith("indigestible"))
        assert metric(admin, 'logshipper_dropped_lines_total{reason="dead_letter",sink="default"}') == 5
        assert status(admin)["sinks"]["default"]["balanced"]
        assert shipper.stop() == 0


def test_a_job_whose_lines_are_all_refused_ends_and_keeps_them(tmp_path: Path, start: Start, picky: Picky) -> None:
    picky.broken = True
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=picky.url, LOGSHIPPER_EXIT_WHEN_IDLE="200ms")
    append(tmp_path / "logs" / "app.log", "".join(f"{number}\n" for number in range(10)))
    job = start("logshipper", **variables)
    assert job.wait() == 69
    assert "stopped before all was shipped: 20 bytes for LOGSHIPPER_SINK" in job.stderr
    picky.broken = False
    assert start("logshipper", **variables).wait() == 0
    assert sorted(map(int, picky.messages())) == list(range(10))


def test_a_batch_beyond_its_bound_is_given_up_and_told(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    admin = free_port()
    receiver.mode = "503"
    variables = environ(tmp_path, admin, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_RETRY_LIMIT="3")
    append(tmp_path / "logs" / "app.log", "1\n2\n")
    shipper = start("logshipper", **variables)
    expired = 'logshipper_dropped_lines_total{reason="expired",sink="default"}'
    shipper.wait_ready(admin)
    wait_until(lambda: metric(admin, expired) == 2, "both lines are given up")
    assert shipper.wait_logged("lines were given up: their retries have reached a bound")["code"] == "lines-expired"
    assert status(admin)["sinks"]["default"]["balanced"]
    assert shipper.stop() == 0
