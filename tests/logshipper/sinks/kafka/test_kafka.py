"""The sink `kafka` and a broker that is exact about the protocol: faults, refusals, restarts, fencing."""

from __future__ import annotations

import contextlib
import json
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import pytest

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchRefused, RetryLater
from sidecars.logshipper.sinks.encodings import ndjson
from tests.logshipper.opened_sinks import create
from tests.logshipper.pipelines import AT, make_pipeline, records_of
from tests.logshipper.receivers import kafka
from tests.logshipper.receivers.kafka import KafkaBroker
from tests.logshipper.support import a_batch, a_chunk

Sink = Any
MODES = ["true", "false"]


def batch(*lines: str) -> Batch:
    """Return a batch of these lines, which no other batch has."""
    generation = f"{zlib.crc32(repr(lines).encode()):08x}"
    made = a_batch(a_chunk("".join(f"{line}\n" for line in lines).encode(), generation=generation))
    made.at = time.time_ns()
    return made


def lines(broker: KafkaBroker) -> list[str]:
    return [one.value.decode().rpartition('"message":"')[2].removesuffix('"}') for one in broker.stored]


@pytest.fixture
def broker() -> Iterator[KafkaBroker]:
    with closing(KafkaBroker()) as running:
        yield running


@contextlib.asynccontextmanager
async def opened(broker: KafkaBroker, receipt: Any = None, **settings: str) -> AsyncIterator[Sink]:
    sink = create(f"kafka://127.0.0.1:{broker.port}/logs", **settings)
    await sink.open(receipt)
    try:
        yield sink
    finally:
        await sink.close()


async def insist(sink: Sink, wanted: Batch, attempts: int = 5) -> Any:
    """Deliver as the shipper does: again until the sink has decided."""
    for _ in range(attempts):
        with contextlib.suppress(RetryLater):
            return await sink.deliver(wanted)
    raise AssertionError("no decision")


@pytest.mark.parametrize("transactions", MODES)
async def test_a_batch_is_there_once_whatever_answer_is_lost(broker: KafkaBroker, transactions: str) -> None:
    keys = [kafka.PRODUCE, kafka.INIT, kafka.METADATA, kafka.API_VERSIONS]
    if transactions == "true":
        keys += [kafka.END, kafka.COMMIT, kafka.ADD_PARTITIONS, kafka.ADD_OFFSETS, kafka.OFFSET_FETCH, kafka.FIND]
    async with opened(broker, sink_transactions=transactions) as sink:
        await insist(sink, batch("first"))
        for number, key in enumerate(keys):
            broker.drops[key] = 1
            broker.hang_up()  # so that the connection is made again, with all that it needs
            sink._cluster.forget()
            await insist(sink, batch(f"{number}"))
    assert lines(broker) == ["first", *map(str, range(len(keys)))]


CODES = [3, 5, 6, 7, 14, 15, 16, 19, 20, 29, 30, 45, 47, 48, 51, 53, 56, 59, 89, 90, 120, 999]


@pytest.mark.parametrize("key", [kafka.PRODUCE, kafka.END, kafka.COMMIT, kafka.ADD_PARTITIONS, kafka.INIT])
async def test_no_error_loses_or_repeats_a_batch(broker: KafkaBroker, key: int) -> None:
    async with opened(broker) as sink:
        for code in CODES:
            broker.errors[key] = [code, 0]
            sink._transactions.close()  # so that InitProducerId is sent, too
            await insist(sink, batch(f"with {code}"))
            await insist(sink, batch(f"after {code}"))
    assert lines(broker) == [f"{when} {code}" for code in CODES for when in ("with", "after")]


async def test_what_people_must_repair_is_told(broker: KafkaBroker) -> None:
    async with opened(broker) as sink:
        broker.has_topic = False
        with pytest.raises(RetryLater, match=r"topic logs: UNKNOWN_TOPIC_OR_PARTITION .create the topic"):
            await sink.deliver(batch("1"))
        broker.has_topic = True
        broker.errors[kafka.INIT] = [53]
        with pytest.raises(RetryLater, match=r"TRANSACTIONAL_ID_AUTHORIZATION_FAILED .allow Write and Describe"):
            await sink.deliver(batch("1"))
        await sink.deliver(batch("1"))


@pytest.mark.parametrize(("key", "expected"), [(kafka.INIT, "no transactions"), (kafka.OFFSET_FETCH, "2.5 or later")])
async def test_brokers_without_transactions_are_told(broker: KafkaBroker, key: int, expected: str) -> None:
    broker.versions[key] = (0, 0) if key == kafka.OFFSET_FETCH else (9, 9)
    async with opened(broker) as sink:
        with pytest.raises(RetryLater, match=f"{expected}.*SINK_TRANSACTIONS=false"):
            await sink.deliver(batch("1"))
    async with opened(broker, sink_transactions="false", sink_acks="1") as sink:
        await sink.deliver(batch("1"))
    assert lines(broker) == ["1"]


@pytest.mark.parametrize(("schema", "member"), [("ecs", "event.id"), ("otel", "log.record.uid"), ("gelf", "_event_id")])
@pytest.mark.parametrize("key", ["generation", "{file}"])
async def test_the_values_have_the_names_of_the_schema(broker: KafkaBroker, schema: str, member: str, key: str) -> None:
    some = Batch("default", (records_of("a\nb\n" * 300), records_of("c", MULTILINE="java")), time.time_ns())
    async with opened(broker, sink_schema=schema, sink_message_key=key) as sink:
        await sink.deliver(some)
    values = [json.loads(one.value) for one in broker.stored]
    assert sorted(one.get("Attributes", one)[member] for one in values) == sorted(some.ids())
    assert sorted(one.headers["id"].decode() for one in broker.stored) == sorted(some.ids())
    assert sorted(map(json.dumps, values)) == sorted(
        json.dumps(json.loads(line)) for line in b"".join(ndjson.encoder(schema)(some)).splitlines()
    ), "also the time of the batch"


@pytest.mark.parametrize("key", ["generation", "{file}"])
async def test_the_values_are_the_texts_of_the_events_on_request(broker: KafkaBroker, key: str) -> None:
    trace = "java.lang.Error: ü\n\tat a.b(c)"
    lines = ["{}", "", '{"a": 1}', *("x" * number for number in range(600))]
    text = "".join(f"{line}\n" for line in lines)
    some = Batch("default", (records_of(text, FORMAT="json"), records_of(f"{trace}\n", MULTILINE="java")))
    async with opened(broker, sink_encoding="text", sink_message_key=key, compression="lz4") as sink:
        await sink.deliver(some)
    assert sorted(one.value.decode() for one in broker.stored) == sorted([*lines, trace])
    assert sorted(one.headers["id"].decode() for one in broker.stored) == sorted(some.ids())


# -- restarts ----------------------------------------------------------------------------------------------------------


async def test_a_batch_that_was_committed_before_kill_nine_is_settled_and_not_sent(broker: KafkaBroker) -> None:
    async with opened(broker) as sink:
        receipt = (await sink.deliver(batch("1", "2"))).receipt
    produced = broker.requests.count(kafka.PRODUCE)
    async with opened(broker, receipt) as sink:
        assert not (await sink.deliver(batch("1", "2"))).rejected
        await sink.deliver(batch("3"))
    assert lines(broker) == ["1", "2", "3"]
    assert broker.requests.count(kafka.PRODUCE) == produced + 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"MULTILINE": "java"}, {}),
        ({}, {"MULTILINE": "indent", "KEEP": "at"}),
        ({"FORMAT": "json"}, {"FORMAT": "logfmt", "DROP": "1"}),
    ],
)
async def test_a_batch_that_was_committed_is_not_sent_again_by_a_process_with_other_settings(
    broker: KafkaBroker, before: dict[str, str], after: dict[str, str]
) -> None:
    text = "E: x\n\tat y\n" + "".join(f'{{"n": {number}}}\n' for number in range(5))

    def made(settings: dict[str, str]) -> Batch:
        chunks = (a_chunk(text.encode(), is_open=True), a_chunk(b"1\n", 1000, "beef"))
        return Batch(
            "default", tuple(one for each in chunks for one in make_pipeline(**settings).records(each, AT)), AT
        )

    async with opened(broker) as sink:
        receipt = (await sink.deliver(made(before))).receipt
        stored = len(broker.stored)
    async with opened(broker, receipt) as sink:
        await sink.deliver(made(after))
    assert len(broker.stored) == stored > 0


async def test_what_was_rejected_before_kill_nine_is_rejected_after_it(broker: KafkaBroker) -> None:
    broker.poison = b"bad"
    wanted = batch("1", "bad 2", "3", "bad 4")
    async with opened(broker) as sink:
        outcome = await sink.deliver(wanted)
        assert [index for index, _ in outcome.rejected] == [1, 3]
    async with opened(broker, outcome.receipt) as sink:
        assert [index for index, _ in (await sink.deliver(wanted)).rejected] == [1, 3]
    assert lines(broker) == ["1", "3"]


async def test_the_transactional_id_stays_with_the_state(broker: KafkaBroker) -> None:
    first = create(f"kafka://127.0.0.1:{broker.port}/logs", {"POD_NAME": "shop-1", "POD_NAMESPACE": "prod"})
    receipt = await first.open(None)
    assert receipt["transactional_id"].startswith("logshipper-prod-shop-1-default-")
    moved = create(f"kafka://127.0.0.1:{broker.port}/logs", {"POD_NAME": "shop-2"})
    assert (await moved.open(receipt))["transactional_id"] == receipt["transactional_id"]


# -- fencing -----------------------------------------------------------------------------------------------------------


async def test_a_process_with_a_successor_is_fenced_and_says_so(
    broker: KafkaBroker, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(broker, sink_transactional_id="shop") as zombie:
        await zombie.deliver(batch("1"))
        async with opened(broker, sink_transactional_id="shop") as successor:
            await successor.deliver(batch("2"))
            for _ in range(3):
                with pytest.raises(RetryLater):
                    await zombie.deliver(batch("3"))
            with pytest.raises(RetryLater, match="another process has the transactional id shop"):
                await zombie.deliver(batch("3"))
            await successor.deliver(batch("4"))
    assert lines(broker) == ["1", "2", "4"]
    assert sum("this process is fenced" in record.getMessage() for record in caplog.records) == 1


async def test_a_zombie_that_wakes_before_its_first_claim_is_fenced_by_the_state_that_it_had(
    broker: KafkaBroker,
) -> None:
    async with opened(broker, sink_transactional_id="shop") as first:
        receipt = (await first.deliver(batch("1"))).receipt
    zombie = create(f"kafka://127.0.0.1:{broker.port}/logs", sink_transactional_id="shop")
    copied = await zombie.open(receipt)  # it stops here, and its successor has a copy of the state
    async with opened(broker, copied, sink_transactional_id="shop") as successor:
        await successor.deliver(batch("2"))
        await successor.deliver(batch("3"))
        with pytest.raises(RetryLater, match="another process has the transactional id shop"):
            await zombie.deliver(batch("2"))
        receipt = (await insist(successor, batch("4"))).receipt
    await zombie.close()
    async with opened(broker, receipt, sink_transactional_id="shop") as later:
        await later.deliver(batch("5"))
    assert lines(broker) == ["1", "2", "3", "4", "5"]


async def test_a_claim_whose_answer_is_lost_is_our_own(broker: KafkaBroker) -> None:
    async with opened(broker, sink_transactional_id="shop") as first:
        receipt = (await first.deliver(batch("1"))).receipt
    async with opened(broker, receipt, sink_transactional_id="shop") as second:
        broker.drops[kafka.END] = 1
        await insist(second, batch("2"))
    assert lines(broker) == ["1", "2"]


async def test_processes_that_end_before_they_reach_a_broker_fence_nobody(broker: KafkaBroker) -> None:
    async with opened(broker, sink_transactional_id="shop") as first:
        receipt = (await first.deliver(batch("1"))).receipt
    for _ in range(60):
        unlucky = create(f"kafka://127.0.0.1:{broker.port}/logs", sink_transactional_id="shop")
        receipt = await unlucky.open(receipt)
    async with opened(broker, receipt, sink_transactional_id="shop") as lucky:
        await lucky.deliver(batch("2"))
    assert lines(broker) == ["1", "2"]


async def test_a_fresh_state_takes_the_transactional_id_over(broker: KafkaBroker) -> None:
    for number in range(3):
        async with opened(broker, sink_transactional_id="shop") as sink:
            await sink.deliver(batch(f"{number}"))
    assert lines(broker) == ["0", "1", "2"]


async def test_a_transaction_that_took_too_long_is_no_fencing(broker: KafkaBroker) -> None:
    async with opened(broker, sink_transactional_id="shop") as sink:
        await sink.deliver(batch("1"))
        broker.transactions["shop"].epoch += 1  # as the coordinator does when it aborts a transaction
        await insist(sink, batch("2"))
    assert lines(broker) == ["1", "2"]


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transactions", MODES)
@pytest.mark.parametrize("named", [True, False])
async def test_the_records_at_fault_alone_are_rejected(broker: KafkaBroker, transactions: str, *, named: bool) -> None:
    broker.poison, broker.names_records = b"bad", named
    texts = [f"{'bad ' if number in (7, 40, 41) else ''}{number}" for number in range(60)]
    async with opened(broker, sink_transactions=transactions) as sink:
        outcome = await sink.deliver(batch(*texts))
        assert [index for index, _ in outcome.rejected] == [7, 40, 41]
    assert lines(broker) == [text for text in texts if "bad" not in text]


@pytest.mark.parametrize("transactions", MODES)
async def test_a_record_batch_that_is_too_large_is_halved(broker: KafkaBroker, transactions: str) -> None:
    broker.max_message = 2000
    texts = [f"{number:03} {'x' * (3000 if number == 9 else 50)}" for number in range(80)]
    async with opened(broker, sink_transactions=transactions) as sink:
        outcome = await sink.deliver(batch(*texts))
        assert [(index, "MESSAGE_TOO_LARGE" in reason) for index, reason in outcome.rejected] == [(9, True)]
    assert lines(broker) == texts[:9] + texts[10:]


@pytest.mark.parametrize("transactions", MODES)
async def test_a_batch_of_which_every_record_is_refused_is_kept(broker: KafkaBroker, transactions: str) -> None:
    broker.poison = b"message"
    async with opened(broker, sink_transactions=transactions) as sink:
        with pytest.raises(BatchRefused) as refusal:
            await sink.deliver(batch("1", "2"))
    assert refusal.value.event_reasons == ["it is poison"] * 2


async def test_a_record_from_the_future_gets_the_time_of_its_batch(broker: KafkaBroker) -> None:
    settings = {"FORMAT": "json", "TIME_KEY": "t"}
    broker.latest = time.time_ns() // 1_000_000 + 3_600_000
    made = records_of('{"t":"2026-01-01T00:00:00Z","m":1}\n{"t":"2999-01-01T00:00:00Z","m":2}\n', **settings)
    wanted = Batch("default", (made,), at=1_767_300_000_000_000_000)
    async with opened(broker) as sink:
        assert not (await sink.deliver(wanted)).rejected
    assert [one.time for one in broker.stored] == [1_767_225_600_000, 1_767_300_000_000]
    assert b"2999-01-01" in broker.stored[1].value


# -- records -----------------------------------------------------------------------------------------------------------


async def test_a_record_has_key_headers_and_time(broker: KafkaBroker) -> None:
    wanted = batch("a line")
    async with opened(broker) as sink:
        await sink.deliver(wanted)
    (stored,) = broker.stored
    assert stored.key == wanted.records[0].chunk.generation.encode()
    assert stored.headers == {"file": b"/logs/a%d.log", "input": b"default", "id": stored.key + b"-0"}
    assert stored.time == wanted.at // 1_000_000


@pytest.mark.parametrize(("key", "expected"), [("none", {None}), ("{pod}", {b"shop-1"})])
async def test_the_key_is_chosen(broker: KafkaBroker, key: str, expected: set[bytes | None]) -> None:
    wanted = a_batch(a_chunk(b"1\n2\n"), pod="shop-1")
    async with opened(broker, sink_message_key=key) as sink:
        await sink.deliver(wanted)
    assert {one.key for one in broker.stored} == expected
