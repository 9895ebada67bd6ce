"""The memory ledger of the logshipper: the files that it follows, and the batches on their way."""

from __future__ import annotations

from sidecars.chassis import memory
from sidecars.chassis.config.memory_ledger import KIB, MIB, Entry, MemoryLedger
from sidecars.logshipper.config import sink_registry
from sidecars.logshipper.config.limits import (
    BULK_RESPONSE,
    BULK_RESULT,
    LINE_ROOM,
    MAX_FILES,
    MOST_FILES,
    SHORT_RESPONSE,
)
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.settings import Settings

_BASE = 36 * MIB
_FILE = 5 * KIB // 2  # bytes of a followed file: its state, its path, its inode, an entry of the snapshot
_KEY = 384  # bytes of a key of a rate limit, in a table that keeps an order
_LISTED = 4 * KIB  # bytes of a file on the page, as values and as text
_DECOMPRESSED = 2 * MIB  # a block of text with what a cursor keeps of the one before
_BEING_MADE = 12  # times its bytes: a batch while it is framed, parsed, redacted and encoded
_ON_ITS_WAY = 4  # times its bytes: raw, as texts, encoded
_IN_MESSAGES = frozenset({"relp", "gelf", "gelf_http", "nats"})  # kinds of sinks that hold each event as an object
_MESSAGES = 9  # times its bytes: such a batch on its way, if its lines are short
_READ = 24  # times its bytes: a bulk response as objects of Python
_PACKED = frozenset({"s3"})  # kinds of sinks whose batches are compressed while they are collected
_PACKED_AT_ONCE = MIB  # bytes of such a batch that are texts at a time, unless a line is longer
_ONE_AT_A_TIME = frozenset({"stdout", "file", "syslog", "gelf", "kafka"})
_RECORDS = 4  # times its bytes: a batch as records of Kafka with their keys and headers, and compressed
_WAITING = 3  # times its queue: lines that wait, that are joined, and that the transport has
_TABLES = 4  # times RE2's limit of the tables of one regex: the regex as it is read, and the allocator's part
_TAIL_CODE = 4 * MIB  # RE2, and the modules of the live tail
_ENCODED = 24  # times the longest text of an event: its fields, their JSON, and its parts
_SHOWN = 256  # bytes
_FRAMES = 2  # times the longest response of a broker: as it comes, and as it is read


def ledger(settings: Settings) -> MemoryLedger:
    """Return the memory that the logshipper takes at most."""
    listed = len(settings.sinks) * MOST_FILES
    longest = max(one.max_line_size for one in settings.inputs.values())
    entries = [*memory.entries(settings.admin_listen), Entry("followed files", MAX_FILES, _FILE)]
    entries.append(Entry("files that the page lists", listed, _LISTED))
    if settings.tail_listen:
        entries += _of_live_tail()
    if any(one.compressed == "auto" for one in settings.inputs.values()):
        entries.append(
            Entry("text of compressed files on its way to a sink", len(settings.sinks), longest + _DECOMPRESSED)
        )
    entries += _of_some_inputs(settings)
    largest = 0
    for sink in settings.sinks.values():
        size = max(sink.batch_size, longest)
        kind = sink_registry.of(sink.url).kind
        largest = max(largest, max(_PACKED_AT_ONCE, longest) if kind in _PACKED else size)
        count = 1 if kind in _ONE_AT_A_TIME else sink.in_flight
        each = size if kind in _PACKED else (_MESSAGES if kind in _IN_MESSAGES else _ON_ITS_WAY) * size
        entries.append(Entry(f"batches on their way to the sink {sink.name}", count, each))
        bulk = min(SHORT_RESPONSE + BULK_RESULT * size // LINE_ROOM, BULK_RESPONSE)
        is_bulk = kind == "elasticsearch"
        entries.append(Entry(f"responses of the sink {sink.name}", count, bulk if is_bulk else SHORT_RESPONSE))
        if is_bulk:
            entries.append(Entry(f"the response of the sink {sink.name} that is being read", 1, _READ * bulk))
        if kind == "kafka":
            entries += _of_kafka(sink, size)
    entries.append(Entry("the batch that is being made", 1, _BEING_MADE * largest))
    return MemoryLedger(_BASE, tuple(entries))


def _of_some_inputs(settings: Settings) -> list[Entry]:
    """Return the entries of settings that only some inputs have."""
    inputs, entries = settings.inputs.values(), []
    if limited := sum(one.rate_limit is not None for one in inputs):
        from sidecars.logshipper.transform.reduction.token_buckets import MOST_KEYS  # noqa: PLC0415 - for such inputs only

        entries.append(Entry("keys of rate limits", len(settings.sinks) * limited * MOST_KEYS, _KEY))
    if with_fields := sum(one.path_fields is not None for one in inputs):
        from sidecars.logshipper.transform.parsing.path_fields import REMEMBERED  # noqa: PLC0415 - for such inputs only

        entries.append(Entry("fields of paths", with_fields * REMEMBERED, KIB))
    return entries


def _of_live_tail() -> list[Entry]:
    from sidecars.logshipper.live import live_tail, tail_query, tail_server, viewer  # noqa: PLC0415 - loaded only if it is used

    most = live_tail.MOST_VIEWERS
    return [
        *memory.server_entries("the live tail", tail_server.LIMITS, tls=False),
        Entry("lines that wait for clients of the live tail", most, _WAITING * viewer.QUEUE),
        Entry("regexes of clients of the live tail", most, _TABLES * tail_query.MATCH_MEMORY),
        Entry("the code of the live tail", 1, _TAIL_CODE),
        Entry("events that are encoded for the live tail", 1, _ENCODED * live_tail.LONGEST),
        Entry("files whose shown end the live tail remembers", live_tail.MOST_FILES, _SHOWN),
    ]


def _of_kafka(sink: SinkSettings, size: int) -> list[Entry]:
    """Return the entries of a sink `kafka`, beside those of all sinks. `size`: bytes of its batch."""
    from sidecars.logshipper.sinks.kafka.connection import MAX_RESPONSE  # noqa: PLC0415 - loaded only if it is used

    brokers = len(sink_registry.brokers(sink.url))
    return [
        Entry(f"record batches of the sink {sink.name}", 1, _RECORDS * size),
        Entry(f"responses of brokers of the sink {sink.name}", brokers, _FRAMES * MAX_RESPONSE),
    ]
