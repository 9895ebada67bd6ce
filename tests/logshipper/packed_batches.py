"""Batches that a sink packs, made as the shipper makes them."""

from __future__ import annotations

from typing import Any

from sidecars.chassis.config.settings import load
from sidecars.logshipper.delivery.packing import Packing
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.packed_batch import PackedBatch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.transform.pipeline import Pipeline
from tests.logshipper.support import a_chunk

AT = 1_796_018_400_000_000_000  # 2026-11-30T06:00:00Z


async def packed(
    sink: Any, *texts: str, at: int = AT, note: Any = None, is_whole: bool = True, **settings: str
) -> PackedBatch:
    """Return a batch with a chunk for each text. `note`: of an earlier process, of which a part may be gone."""
    environ = {"LOGSHIPPER_PATHS": "/logs/*", "LOGSHIPPER_SINK": "stdout:"}
    loaded = load(Settings, {**environ, "POD_NAME": "shop-0", "POD_NAMESPACE": "shop", **settings})
    process = Pipeline(loaded.inputs["default"], loaded.pod_fields()).process
    packing = Packing(sink.new_pack(at, note), lambda chunks: tuple(map(process, chunks)), lambda: None)
    chunks: list[Chunk] = []
    start = 0
    for text in texts:
        chunks.append(a_chunk(text.encode(), start))
        start += len(text.encode())
    await packing.shrink(chunks)
    return await packing.batch("default", at, is_whole=is_whole)
