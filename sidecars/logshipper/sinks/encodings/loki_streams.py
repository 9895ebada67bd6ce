"""The streams of Loki with labels from events (SINK_LABELS): each set of labels of a file is a stream of its own.

A label's value costs Loki an index entry and each stream a chunk in memory, and the app chooses the values. So in an
hour (that of `Batch.at`) a sink has at most `MOST_VALUES` values of a label and `MOST_STREAMS` sets of labels, which
bounds the streams of each file. A value beyond that is structured metadata of its entry, where it can be searched for.

Loki drops an entry only if its stream has it. So a batch that is sent again must have the same labels: see
`seen_names`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sidecars.chassis.runtime import logs
from sidecars.logshipper.model import severity
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings.loki_push import LokiStream
from sidecars.logshipper.sinks.encodings.seen_names import SeenNames
from sidecars.logshipper.transform.parsing.label_sources import LabelSource

log = logs.get("ship")

MOST_VALUES, MOST_STREAMS = 20, 100
_LONGEST_LABEL = 128  # characters of a value; longer ones are metadata
_LONGEST_METADATA = 1024
_STREAMS = "streams"

Values = tuple[str, ...]  # of the labels, in their order; "": the event has none


class StreamLabels:
    """Makes the streams of one sink, which owns it and saves `receipt` with each outcome."""

    def __init__(self, sources: Sequence[LabelSource]) -> None:
        self._sources = sources
        self._values = [SeenNames(MOST_VALUES) for _ in sources]
        self._sets = SeenNames(MOST_STREAMS)
        self.in_order = asyncio.Lock()
        """Held by the sink while it makes the streams of a batch, so that batches have their turns."""
        self.overflowed = 0
        """Number of events with a value that became metadata; those of a batch that is sent in halves count again."""
        self.receipt: dict[str, str] = {source.name: "" for source in sources} | {_STREAMS: ""}
        """The tables, for the sink's receipt. It is always the same object, and always up to date."""

    def restore(self, receipt: Any) -> dict[str, str]:
        """Take the tables of an earlier process from the sink's receipt, if it has them. Return `receipt`."""
        saved = receipt if isinstance(receipt, dict) else {}
        for source, seen in zip(self._sources, self._values, strict=True):
            seen.restore(saved.get(source.name))
        self._sets.restore(saved.get(_STREAMS))
        self._save()
        return self.receipt

    def streams(self, batch: Batch) -> list[LokiStream]:
        """Return the streams of a batch. Call it once for a batch, in the order of the batches."""
        files = [records for records in batch.records if records.bodies]
        columns = [[_values(source, records) for source in self._sources] for records in files]
        refused = [
            seen.admit((value for file in columns for value in file[at] if 0 < len(value) <= _LONGEST_LABEL), batch.at)
            for at, seen in enumerate(self._values)
        ]
        sets = [
            list(zip(*(_labels(column, no) for column, no in zip(file, refused, strict=True)), strict=True))
            for file in columns
        ]
        no_stream = self._sets.admit(("\0".join(one) for file in sets for one in file if any(one)), batch.at)
        self._save()
        streams: list[LokiStream] = []
        for records, file, wanted in zip(files, columns, sets, strict=True):
            chosen = [("",) * len(one) if "\0".join(one) in no_stream else one for one in wanted]
            streams += self._of_file(records, list(zip(*file, strict=True)), chosen, batch)
        return streams

    def _of_file(
        self, records: Records, values: list[Values], chosen: list[Values], batch: Batch
    ) -> Iterable[LokiStream]:
        beyond = [self._metadata(*pair) for pair in zip(values, chosen, strict=True)]
        self._tell(sum(map(bool, beyond)), batch)
        groups: dict[Values, list[int]] = {}
        for index, one in enumerate(chosen):
            groups.setdefault(one, []).append(index)
        for one, indices in groups.items():
            part = records if len(groups) == 1 else records.select(indices)
            labels = {source.name: value for source, value in zip(self._sources, one, strict=True) if value}
            if "level" in labels:
                part = replace(part, levels=None)
            extra = [beyond[index] for index in indices]
            yield LokiStream(part, labels, extra if any(extra) else None)

    def _metadata(self, values: Values, chosen: Values) -> dict[str, str]:
        """Return the values of an event that are no labels. The level is metadata anyhow."""
        return {
            source.name: value[:_LONGEST_METADATA]
            for source, value, label in zip(self._sources, values, chosen, strict=True)
            if value and not label and source.path is not None
        }

    def _tell(self, count: int, batch: Batch) -> None:
        if count and not self.overflowed:
            log.warning(
                "fields of SINK_LABELS have more values than Loki should index: further ones are structured metadata",
                code="too-many-label-values",
                sink=batch.sink,
                values=MOST_VALUES,
                streams=MOST_STREAMS,
            )
        self.overflowed += count

    def _save(self) -> None:
        for source, seen in zip(self._sources, self._values, strict=True):
            self.receipt[source.name] = seen.saved
        self.receipt[_STREAMS] = self._sets.saved


def _labels(column: Sequence[str], refused: set[str]) -> list[str]:
    """Return the values that may be labels; "" in the place of others."""
    return ["" if len(value) > _LONGEST_LABEL or value in refused else value for value in column]


def _values(source: LabelSource, records: Records) -> list[str]:
    """Return the value of a label for each event; "" if it has none."""
    count = len(records.bodies)
    if source.path is None:
        levels = records.levels or [None] * count
        return [severity.of(level).name.lower() if level else "" for level in levels]
    if records.fields is None:
        return [""] * count
    return [_text(source.path.get(fields)) for fields in records.fields]


def _text(value: Any) -> str:
    """Return a text, number or boolean as text that Loki can carry; "" for anything else."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else ""
