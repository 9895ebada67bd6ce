"""JSON that few programs can say: what is in an entry of a container, or in a message, goes out as JSON, and whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.encodings import ndjson
from tests.logshipper.hostile_lines import DEEP, NUMBERS, TEXTS
from tests.logshipper.pipelines import make_pipeline
from tests.logshipper.sinks.encodings.test_hostile_lines import JSON, SINKS
from tests.logshipper.support import a_chunk

_AT = "2026-01-02T03:04:05.1Z"


def _docker(log: str, attributes: str = "") -> str:
    more = f',"attrs":{{"a":{attributes}}}' if attributes else ""
    return f'{{"log":{json.dumps(log)},"stream":"stdout"{more},"time":"{_AT}"}}'


WRAPPED: dict[str, Callable[[str], str]] = {
    "cri,json": lambda text: f"{_AT} stdout F {text}",
    "docker,json": lambda text: _docker(f"{text}\n"),
    "docker,json, attributes": lambda text: _docker('{"m":1}\n', text),
    "regex,json": lambda text: f"INFO {text}",
    "json,json": lambda text: json.dumps({"message": text, "n": 1}),
    "json": lambda text: text,
}
STEPS: list[dict[str, str]] = [
    {},
    {"TIME_KEY": "time", "LEVEL_KEY": "level"},
    {"MESSAGE_KEY": "a,x.y"},
    {"RENAME": "a:b.c.d.e", "COPY": "x:y.z.z"},
    {"RENAME": "a:b.c", "FLATTEN": "true"},
    {"REDACT": "secrets,personal"},
    {"SAMPLE": "2", "SAMPLE_KEY": "a", "SAMPLE_EXCEPT": "."},
]
DEEPER = [b"[" * levels + b"]" * levels for levels in range(248, 256)]
VALUES = [
    *NUMBERS,
    *TEXTS,
    *DEEP,
    *DEEPER,
    b"-0",
    b"9" * 309,
    b"1E+0400",
    b"9" * 10_000,
    b"0." + b"0" * 400 + b"1",
    b"[1e999]",
]
OBJECTS = [
    *(b'{"a":%b}' % value for value in VALUES),
    *(b'{"stream":1,"x":{"y":%b}}' % value for value in VALUES),
    b'{"a":1,"a":2}',
    b'{"a":{"b":1,"b":2}}',
    rb'{"\ud800":"\udc00"}',
]


def strictly(text: str) -> Any:
    """Return the value of JSON, with its numbers as they are written; an error for what RFC 8259 does not allow."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse, parse_int=float, parse_float=float)


def batch_of(objects: list[bytes], form: str, step: dict[str, str]) -> Batch:
    lines = [WRAPPED[form](text.decode("utf-8", "replace")) for text in objects]
    settings = {
        "FORMAT": form.partition(", ")[0],
        **step,
        **({"REGEX": r"(?P<word>\w+) (?P<message>.*)"} if "regex" in form else {}),
    }
    return Batch("x", (make_pipeline(**settings).process(a_chunk("\n".join([*lines, ""]).encode())),), 1)


def check(objects: list[bytes], form: str, step: dict[str, str]) -> None:
    """Assert that every sink gets strict JSON with an event for each text, whose value or text is in the record."""
    batch = batch_of(objects, form, step)
    assert batch.events == len(objects)
    for name, count in SINKS.items():
        assert count(batch) == len(objects), name
    for schema in ("", "ecs", "otel", "gelf"):
        encode = ndjson.encoder(schema) if schema else ndjson.encode
        records = [strictly(line.decode()) for line in b"".join(encode(batch)).splitlines()]
        assert len(records) == len(objects)
        if not schema and not step:
            for text, record in zip(objects, records, strict=True):
                assert _has(record, text.decode("utf-8", "replace"), form)


def _has(record: dict[str, Any], text: str, form: str) -> bool:
    """True if the record has the text, or all members of its object."""
    message = record.get("message")
    if message in (text, WRAPPED[form](text)):
        return True
    try:
        value = strictly(text)
    except (ValueError, RecursionError):
        return False
    if "attributes" in form:
        return bool(record["attrs"]["a"] == value)
    found = [*record.values()]
    return isinstance(value, dict) and all(any(one == other for other in found) for one in value.values())


@pytest.mark.parametrize("form", WRAPPED)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: " ".join(step) or "no other step")
def test_a_number_or_text_that_few_can_read_is_strict_json_to_every_sink(form: str, step: dict[str, str]) -> None:
    for text in () if step else OBJECTS:
        check([text], form, step)
    check([b'{"a":1}', *OBJECTS], form, step)


@given(
    st.lists(JSON.map(lambda value: b'{"a":%b,"b":"x"}' % value), min_size=1, max_size=5),
    st.sampled_from([*WRAPPED]),
    st.sampled_from(STEPS),
)
def test_any_value_is_strict_json_to_every_sink(objects: list[bytes], form: str, step: dict[str, str]) -> None:
    check(objects, form, step)
