"""Without LEVEL_KEY the sinks with a place for a level find it, and the record stays as it is."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.encodings import otlp_logs
from sidecars.logshipper.sinks.encodings.messages import syslog_frames
from tests.logshipper.pipelines import records_of

_LINES = '{"log.level":"ERROR","message":"a"}\n{"n":1}\n'


def batch(**values: str) -> Batch:
    return Batch("default", (records_of(_LINES, FORMAT="json", **values),))


@pytest.mark.parametrize(
    ("values", "expected"),
    [({}, [17, 0]), ({"LEVEL_KEY": "none"}, [0, 0]), ({"LEVEL_KEY": "lvl"}, [0, 0]), ({"LEVEL_KEY": "auto"}, [17, 0])],
)
def test_otlp_has_the_severity(values: dict[str, str], expected: list[int]) -> None:
    message = ExportLogsServiceRequest.FromString(b"".join(otlp_logs.encode(batch(**values), {}, 1)))
    found = message.resource_logs[0].scope_logs[0].log_records
    assert [record.severity_number for record in found] == expected
    attributes = {pair.key for pair in found[0].attributes}
    assert ("log.level" in attributes) == (values.get("LEVEL_KEY") != "auto")


def test_syslog_has_the_severity() -> None:
    frames = b"".join(syslog_frames.encode_frames(batch(), 1))
    assert b"<11>1 " in frames  # user.err
    assert b"<14>1 " in frames  # user.info: unknown
    assert json.dumps({"n": 1}, separators=(",", ":")).encode() in frames
