"""The examples of RECORDS.md, run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import sidecars.logshipper
from tests.logshipper.pipelines import shipped

_TEXT = (Path(sidecars.logshipper.__file__).parent / "RECORDS.md").read_text()
_EXAMPLES = re.findall(r"^```\n(.*?)^```$", _TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("example", _EXAMPLES, ids=[example.partition("\n")[0][:40] for example in _EXAMPLES])
def test_the_examples_of_shaping_are_as_they_say(example: str) -> None:
    lines = example.splitlines()
    settings = dict(line.split("=", 1) for line in lines if line[:2] not in ("< ", "> "))
    log = "".join(f"{line[2:]}\n" for line in lines if line.startswith("< "))
    records = [json.loads(line[2:]) for line in lines if line.startswith("> ")]
    got = shipped(log, **settings)
    for record in got:
        del record["id"]
    assert got == records
    assert [list(record) for record in got] == [list(record) for record in records], "in this order, too"


def test_there_are_examples_of_every_setting_that_shapes() -> None:
    shown = {line.partition("=")[0] for example in _EXAMPLES for line in example.splitlines() if line[:1] not in "<>"}
    every = {"FORMAT", "REGEX", "TIME_KEY", "TIME_FORMAT", "LEVEL_KEY", "MULTILINE", "LABELS", "REDACT", "KEEP", "DROP"}
    assert shown == every
