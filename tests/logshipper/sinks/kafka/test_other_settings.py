"""The sink `kafka` after a restart with other settings, by which the lines are other events."""

from __future__ import annotations

from contextlib import closing

import pytest

from sidecars.logshipper.model.batch import Batch
from tests.logshipper.opened_sinks import create
from tests.logshipper.pipelines import AT, make_pipeline
from tests.logshipper.receivers.kafka import KafkaBroker
from tests.logshipper.support import a_chunk


@pytest.mark.parametrize(("before", "after"), [("none", "indent"), ("indent", "none")])
async def test_an_event_that_was_rejected_is_not_taken_for_one_that_is_there_by_other_settings(
    before: str, after: str
) -> None:
    def made(multiline: str) -> Batch:
        chunk = a_chunk(b"1\n  2\n  3\nbad\n4\n", is_open=True)
        return Batch("default", tuple(make_pipeline(MULTILINE=multiline).records(chunk, AT)), AT)

    with closing(KafkaBroker()) as broker:
        broker.poison = b"bad"
        receipt, stored = None, []
        for multiline in (before, after, after):
            sink = create(f"kafka://127.0.0.1:{broker.port}/logs")
            await sink.open(receipt)
            outcome = await sink.deliver(batch := made(multiline))
            await sink.close()
            receipt = outcome.receipt
            assert [batch.select([index]).records[0].bodies for index, _ in outcome.rejected] == [["bad"]]
            stored.append(len(broker.stored))
        assert stored[0] < stored[1] == stored[2]
