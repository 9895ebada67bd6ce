"""The memory ledger of the logshipper: the files that it follows, and the batches on their way."""

from __future__ import annotations

from sidecars.chassis import memory
from sidecars.chassis.config.memory_ledger import KIB, MIB, Entry, MemoryLedger
from sidecars.logshipper import status
from sidecars.logshipper.config import sink_registry
from sidecars.logshipper.input.discovery import MAX_FILES
from sidecars.logshipper.input.tail import LINE_ROOM
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks import elasticsearch
from sidecars.logshipper.sinks.protocols.http_post import SHORT_RESPONSE

_BASE = 36 * MIB
_FILE = 5 * KIB // 2  # bytes of a followed file: its state, its path, its inode, an entry of the snapshot
_LISTED = 4 * KIB  # bytes of a file on the page, as values and as text
_BEING_MADE = 12  # times its bytes: a batch while it is framed, parsed, redacted and encoded
_ON_ITS_WAY = 4  # times its bytes: raw, as texts, encoded
_READ = 24  # times its bytes: a bulk response as objects of Python
_ONE_AT_A_TIME = frozenset({"stdout", "file", "syslog"})


def ledger(settings: Settings) -> MemoryLedger:
    """Return the memory that the logshipper takes at most."""
    listed = len(settings.sinks) * status.MOST_FILES
    longest = max(one.max_line_size for one in settings.inputs.values())
    entries = [*memory.entries(settings.admin_listen), Entry("followed files", MAX_FILES, _FILE)]
    entries.append(Entry("files that the page lists", listed, _LISTED))
    largest = 0
    for sink in settings.sinks.values():
        size = max(sink.batch_size, longest)
        largest = max(largest, size)
        module = sink_registry.of(sink.url).module
        count = 1 if module in _ONE_AT_A_TIME else sink.in_flight
        entries.append(Entry(f"batches on their way to the sink {sink.name}", count, _ON_ITS_WAY * size))
        bulk = min(SHORT_RESPONSE + elasticsearch.RESULT_SIZE * size // LINE_ROOM, elasticsearch.MAX_RESPONSE)
        is_bulk = module == "elasticsearch"
        entries.append(Entry(f"responses of the sink {sink.name}", count, bulk if is_bulk else SHORT_RESPONSE))
        if is_bulk:
            entries.append(Entry(f"the response of the sink {sink.name} that is being read", 1, _READ * bulk))
    entries.append(Entry("the batch that is being made", 1, _BEING_MADE * largest))
    return MemoryLedger(_BASE, tuple(entries))
