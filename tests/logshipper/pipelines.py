"""The records of data with an input's settings, which are named without prefix: `shipped(data, FORMAT="json")`."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

from sidecars.chassis.config.settings import load
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.transform.pipeline import Pipeline
from tests.logshipper.support import a_chunk

AT = 1795867200 * 10**9
"""When the chunks were collected: 2026-11-28T12:00:00Z."""


@lru_cache(maxsize=64)
def settings(**values: str) -> Settings:
    environ = {f"LOGSHIPPER_{name}": value for name, value in values.items()}
    return load(Settings, {"LOGSHIPPER_PATHS": "/logs/*", "LOGSHIPPER_SINK": "http://h/", **environ})


def make_pipeline(**values: str) -> Pipeline:
    return Pipeline(settings(**values).inputs["default"], {"pod": "shop-1"})


def processed(item: Chunk, **values: str) -> Records:
    pipeline = make_pipeline(**values)
    return pipeline.process(item if pipeline.encoding == "auto" else replace(item, encoding=pipeline.encoding), AT)


def records_of(data: bytes | str, **values: str) -> Records:
    return processed(a_chunk(data if isinstance(data, bytes) else data.encode()), **values)


def shipped_by_schema(data: bytes | str, at: int = 0, **values: str) -> list[dict[str, Any]]:
    """Return the whole records as a sink with this SINK_SCHEMA writes them. `at`: when the batch was collected."""
    batch = Batch("default", (records_of(data, **values),), at)
    return [json.loads(line) for line in b"".join(ndjson.encoder(values["SINK_SCHEMA"])(batch)).splitlines()]


def shipped(data: bytes | str, **values: str) -> list[dict[str, Any]]:
    """Return the records as a receiver of NDJSON gets them, without the members that are the same for all."""
    body = b"".join(ndjson.encode(Batch("default", (records_of(data, **values),))))
    records = [json.loads(line) for line in body.splitlines()]
    for record in records:
        assert record.pop("pod") == "shop-1"
        del record["file"]
    return records
