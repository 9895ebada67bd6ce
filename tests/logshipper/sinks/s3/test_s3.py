"""The sink for object stores: what it sends, what the answers mean, and that a resend is the same object."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from sidecars.logshipper.delivery.dead_letters import DeadLetters
from sidecars.logshipper.sinks.base import BatchTooLarge, RetryLater
from sidecars.logshipper.sinks.s3 import upload
from tests.logshipper.opened_sinks import opened
from tests.logshipper.packed_batches import packed
from tests.logshipper.receivers.object_store import ObjectStore, unpacked
from tests.logshipper.receivers.stream import Stream


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    made = ObjectStore()
    yield made
    made.close()
    assert made.wrong == []


async def put(store: ObjectStore, *texts: str, url: str = "s3://logs/pre", **settings: str) -> None:
    async with opened(url, **store.settings(**settings)) as sink:
        await sink.deliver(await packed(sink, *texts))


def messages(store: ObjectStore) -> list[str]:
    return [record["message"] for record in store.records()]


# -- objects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compression", "extension", "kind"),
    [
        ("none", ".ndjson", "application/x-ndjson"),
        ("gzip", ".ndjson.gz", "application/gzip"),
        ("zstd", ".ndjson.zst", "application/zstd"),
    ],
)
async def test_a_batch_is_an_object_whose_key_follows_from_it(
    store: ObjectStore, compression: str, extension: str, kind: str
) -> None:
    await put(store, "one\n", "two\nthree\n", compression=compression)
    ((key, body),) = store.objects.items()
    assert key.startswith("pre/shop/shop-0/2026/11/30/06/20261130T060000.000000000Z-f00d-000000000000000-")
    assert key.endswith(extension)
    assert [json.loads(line)["message"] for line in unpacked(key, body).splitlines()] == ["one", "two", "three"]
    assert store.fields[key]["content-type"] == kind
    assert "content-encoding" not in store.fields[key]


async def test_the_compression_is_named_as_an_encoding_on_request(store: ObjectStore) -> None:
    await put(store, "one\n", sink_content_encoding="true")
    ((_, fields),) = store.fields.items()
    assert (fields["content-type"], fields["content-encoding"]) == ("application/x-ndjson", "gzip")


async def test_an_object_has_the_options_of_the_settings(store: ObjectStore) -> None:
    options = {
        "sink_storage_class": "STANDARD_IA",
        "sink_tags": "team=shop,cost center=a/b",
        "sink_acl": "bucket-owner-full-control",
        "sink_sse": "aws:kms",
        "sink_sse_kms_key_id": "alias/logs",
    }
    await put(store, "one\n", **options)
    ((_, fields),) = store.fields.items()
    assert fields["x-amz-storage-class"] == "STANDARD_IA"
    assert fields["x-amz-tagging"] == "team=shop&cost+center=a%2Fb"
    assert fields["x-amz-acl"] == "bucket-owner-full-control"
    assert fields["x-amz-server-side-encryption"] == "aws:kms"
    assert fields["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/logs"


async def test_events_of_several_hours_and_tenants_are_objects_of_their_places(store: ObjectStore) -> None:
    lines = [
        {"time": f"2026-11-30T0{hour}:59:59Z", "tenant": tenant, "message": f"{hour}{tenant}"}
        for hour in (5, 6)
        for tenant in ("a", "../b")
    ]
    async with opened("s3://logs", **store.settings(sink_object_key="{tenant}/%H/")) as sink:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        await sink.deliver(await packed(sink, text, LOGSHIPPER_FORMAT="json", LOGSHIPPER_TIME_KEY="time"))
    places = {key.rpartition("/")[0]: json.loads(unpacked(key, body))["message"] for key, body in store.objects.items()}
    assert places == {"a/05": "5a", ".._b/05": "5../b", "a/06": "6a", ".._b/06": "6../b"}


async def test_a_batch_has_32_objects_at_most_and_hostile_values_stay_below_the_prefix(store: ObjectStore) -> None:
    text = "".join(
        json.dumps({"tenant": f"../{number}/x\n?", "message": str(number)}) + "\n" for number in range(10_000)
    )
    async with opened("s3://logs/pre", **store.settings(sink_object_key="{tenant}/")) as sink:
        await sink.deliver(await packed(sink, text, LOGSHIPPER_FORMAT="json"))
        assert sink.targets.overflowed == 10_000 - 31
    assert len(store.objects) == 32
    assert all(key.startswith("pre/") and key.count("/") == 2 for key in store.objects)
    assert sorted(map(int, messages(store))) == list(range(10_000))


# -- repeats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("knows", [("if-none-match", "x-amz-checksum-sha256"), ()])
async def test_a_batch_that_is_sent_again_is_the_same_object_with_and_without_conditions(
    knows: tuple[str, ...],
) -> None:
    store = ObjectStore(knows=knows)
    try:
        for _ in range(2):
            await put(store, "one\n", "two\n")
        assert messages(store) == ["one", "two"]
        assert len(store.objects) == 1
        assert store.wrong == []
    finally:
        store.close()


async def test_an_answer_that_was_lost_is_a_yes_when_the_object_is_there(store: ObjectStore) -> None:
    store.faults = ["lost"]
    async with opened("s3://logs", **store.settings()) as sink:
        batch = await packed(sink, "one\n")
        with pytest.raises(RetryLater, match="closed the connection without a response"):
            await sink.deliver(batch)
        await sink.deliver(batch)
    assert messages(store) == ["one"]
    assert len(store.stored) == 1


async def test_objects_that_are_there_are_not_sent_again_while_another_one_fails(store: ObjectStore) -> None:
    text = '{"tenant":"a","message":"1"}\n{"tenant":"b","message":"2"}\n'
    async with opened("s3://logs", **store.settings(sink_object_key="{tenant}/")) as sink:
        batch = await packed(sink, text, LOGSHIPPER_FORMAT="json")
        store.before = lambda _method, target: store.faults.append("503 SlowDown") if "/b/" in target else None
        with pytest.raises(RetryLater, match="503: SlowDown"):
            await sink.deliver(batch)
        store.before = lambda _method, _target: None
        await sink.deliver(batch)
    assert sorted(messages(store)) == ["1", "2"]
    assert [target[:8] for _, target in store.requests] == ["/logs/a/", "/logs/b/", "/logs/b/"]


async def test_a_conflict_is_tried_again_at_once(store: ObjectStore) -> None:
    store.faults = ["409 ConditionalRequestConflict", "409 OperationAborted"]
    await put(store, "one\n")
    assert messages(store) == ["one"]


# -- sizes ---------------------------------------------------------------------------------------------------------


def incompressible(size: int) -> str:
    import random  # noqa: PLC0415 - here alone

    return "\n".join(random.Random(1).randbytes(96).hex() for _ in range(size // 193)) + "\n"


async def test_a_large_object_is_uploaded_in_parts(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "PART", 5 * 2**20)
    text = incompressible(6 * 2**20)
    await put(store, text[: len(text) // 2], text[len(text) // 2 :], compression="none")
    assert "".join(f"{message}\n" for message in messages(store)).replace("\n", "") == text.replace("\n", "")
    methods = [(method, target.partition("?")[2].partition("&")[0]) for method, target in store.requests]
    assert methods[0] == ("POST", "uploads=")
    assert methods[1:-1] == [("PUT", f"partNumber={number}") for number in range(1, len(methods) - 1)]
    assert methods[-1][0] == "POST"
    assert len(methods) > 3
    assert store.uploads == {}


@pytest.mark.parametrize(
    ("faults", "later"),
    [
        (["", "", "", "error-in-200"], "InternalError"),
        (["", "503 SlowDown"], "SlowDown"),
        (["", "", "409 ConditionalRequestConflict"], ""),
        (["", "404 NoSuchUpload"], ""),
        (["", "", "", "404 NoSuchUpload"], ""),
        (["", "", "", "lost"], ""),
        (["lost"], "without a response"),
    ],
)
async def test_an_upload_of_parts_that_fails_is_begun_again_and_leaves_nothing(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, faults: list[str], later: str
) -> None:
    monkeypatch.setattr(upload, "PART", 1000)
    store.smallest_part = 1000
    store.faults = list(faults)
    async with opened("s3://logs", **store.settings(compression="none")) as sink:
        batch = await packed(sink, "x" * 1500 + "\n")
        if later:
            with pytest.raises(RetryLater, match=later):
                await sink.deliver(batch)
        await sink.deliver(batch)
    assert messages(store) == ["x" * 1500]
    assert len(store.stored) == 1
    assert len(store.uploads) == (faults == ["lost"])  # nobody knows its id: the bucket's rule removes it


async def test_no_part_is_left_by_a_stop_in_the_middle_of_an_upload(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "PART", 1000)
    reached, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hold(method: str, target: str) -> None:
        if method == "PUT" and "partNumber=2" in target:
            loop.call_soon_threadsafe(reached.set)
            go_on.wait(30)

    store.before = hold
    async with opened("s3://logs", **store.settings(compression="none")) as sink:
        delivery = asyncio.create_task(sink.deliver(await packed(sink, "x" * 5000 + "\n")))
        await reached.wait()
        assert len(store.uploads) == 1
        delivery.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivery
        assert store.uploads == {}
        go_on.set()
    assert store.objects == {}


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
async def test_a_batch_that_is_too_large_is_sent_in_halves_which_are_always_the_same_objects(
    store: ObjectStore, compression: str
) -> None:
    text = incompressible(60_000)
    for _ in range(2):
        async with opened("s3://logs", **store.settings(compression=compression)) as sink:
            batch = await packed(sink, text)
            store.largest = 1000
            with pytest.raises(BatchTooLarge):
                await sink.deliver(batch)
            store.largest = 1 << 40
            halves = batch.halves()
            assert halves is not None
            for half in (*(halves[0].halves() or ()), halves[1]):
                await sink.deliver(half)
    assert len(store.objects) == 3
    assert sorted(messages(store)) == sorted(text.splitlines())


async def test_a_dead_letter_of_a_packed_batch_has_the_record(store: ObjectStore, tmp_path: Path) -> None:
    """As for `RETRY_LIMIT`, which gives a whole batch up."""
    async with opened("s3://logs", **store.settings()) as sink:
        batch = await packed(sink, "one\n", "two\nthree\n")
    letters = DeadLetters(tmp_path, "default")
    await letters.append(batch, [(0, "expired"), (2, "expired")])
    found = [json.loads(line) for line in letters.path.read_text().splitlines()]
    assert [(letter["reason"], letter["id"], letter["message"]) for letter in found] == [
        ("expired", "f00d-0", "one"),
        ("expired", "f00d-8", "three"),
    ]


# -- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("503 SlowDown", "the store answered with 503: SlowDown"),
        ("500 InternalError", "500: InternalError"),
        ("400 RequestTimeout", "400: RequestTimeout"),
        ("400 BadDigest", "400: BadDigest"),
        ("404 NoSuchBucket", r"NoSuchBucket \(the bucket is not there"),
        ("403 AccessDenied", r"AccessDenied \(the credentials need s3:PutObject"),
        ("400 AccessControlListNotSupported", "unset SINK_ACL"),
        ("403 SignatureDoesNotMatch", "is the secret key right"),
        ("301 PermanentRedirect", "is SINK_REGION or SINK_ENDPOINT right"),
        ("405 MethodNotAllowed", "405: MethodNotAllowed"),
    ],
)
async def test_no_answer_but_that_about_the_size_costs_a_line(store: ObjectStore, fault: str, sentence: str) -> None:
    async with opened("s3://logs", **store.settings()) as sink:
        batch = await packed(sink, "one\n")
        store.faults = [fault]
        with pytest.raises(RetryLater, match=sentence):
            await sink.deliver(batch)
        await sink.deliver(batch)
    assert messages(store) == ["one"]


async def test_a_wrong_secret_is_told(store: ObjectStore) -> None:
    async with opened("s3://logs", **store.settings(sink_password="another-secret")) as sink:
        with pytest.raises(RetryLater, match="is the secret key right"):
            await sink.deliver(await packed(sink, "one\n"))
    assert store.wrong == ["the signature is wrong"]
    store.wrong.clear()


async def test_a_store_gets_nothing_unless_its_certificate_has_the_configured_name(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.test").configure_cert(context)
    receiver = Stream(context)
    settings = {"sink_endpoint": f"https://localhost:{receiver.port}", "sink_ca": str(tmp_path / "ca.pem")}
    try:
        async with opened("s3://logs", sink_username="AKID", sink_password="of-the-key", **settings) as sink:
            with pytest.raises(RetryLater, match=r"certificate of localhost:\d+ is not accepted: Hostname mismatch"):
                await sink.deliver(await packed(sink, "one\n"))
    finally:
        receiver.close()
    assert receiver.connections == 0
