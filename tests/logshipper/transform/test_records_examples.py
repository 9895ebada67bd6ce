"""The examples of docs/reference/logshipper/records.md, run."""

from __future__ import annotations

import json

import pytest

from tests.logshipper.pipelines import shipped, shipped_by_schema
from tests.support import ROOT
from tools.documents.blocks import blocks_of

_TEXT = (ROOT / "docs/reference/logshipper/records.md").read_text()
_EXAMPLES = [block.text for block in blocks_of(_TEXT, "records.md") if not block.language]
_COLLECTED = 1767323046 * 10**9  # 2026-01-02T03:04:06Z


@pytest.mark.parametrize("example", _EXAMPLES, ids=[example.partition("\n")[0][:40] for example in _EXAMPLES])
def test_the_examples_of_shaping_are_as_they_say(example: str) -> None:
    lines = example.splitlines()
    settings = dict(line.split("=", 1) for line in lines if line[:2] not in ("< ", "> "))
    log = "".join(f"{line[2:]}\n" for line in lines if line.startswith("< "))
    records = [json.loads(line[2:]) for line in lines if line.startswith("> ")]
    if "SINK_SCHEMA" in settings:
        got = shipped_by_schema(log, _COLLECTED, **settings)
        got = [json.loads(json.dumps(record).replace("/logs/a%d.log", "/logs/app.log")) for record in got]
    else:
        got = [{name: value for name, value in one.items() if name != "id"} for one in shipped(log, **settings)]
    assert got == records
    assert [list(record) for record in got] == [list(record) for record in records], "in this order, too"


def test_there_are_examples_of_every_setting_that_shapes() -> None:
    shown = {line.partition("=")[0] for example in _EXAMPLES for line in example.splitlines() if line[:1] not in "<>"}
    every = {
        "FORMAT",
        "REGEX",
        "TIME_KEY",
        "TIME_FORMAT",
        "TIME_ZONE",
        "LEVEL_KEY",
        "MESSAGE_KEY",
        "READ_AT",
        "MULTILINE",
        "LABELS",
        "REDACT",
        "KEEP",
        "DROP",
        "RENAME",
        "COPY",
        "REMOVE",
        "ADD",
        "FLATTEN",
        "SAMPLE",
        "SAMPLE_KEY",
        "SAMPLE_EXCEPT",
        "SINK_SCHEMA",
    }
    assert shown == every
