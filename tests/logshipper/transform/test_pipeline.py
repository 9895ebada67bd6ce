"""The pipeline: the records of a chunk, and the ledger of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.settings import SettingsError, load
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.encodings import ndjson
from tests.logshipper.pipelines import processed, records_of, settings, shipped
from tests.logshipper.support import a_chunk

REGEX = r"(?P<at>\S+) (?P<level>\w+) (?P<message>.*)"
FORMATS: dict[str, dict[str, str]] = {
    "raw": {},
    "json": {"FORMAT": "json"},
    "json with everything": {"FORMAT": "json", "TIME_KEY": "at", "LEVEL_KEY": "level", "REDACT": "secrets,personal"},
    "logfmt": {"FORMAT": "logfmt", "TIME_KEY": "at", "TIME_FORMAT": "unix", "REDACT": "email"},
    "cri": {"FORMAT": "cri"},
    "cri and json": {"FORMAT": "cri,json", "TIME_KEY": "at", "LEVEL_KEY": "level", "LABELS": "stream=x"},
    "docker": {"FORMAT": "docker"},
    "docker and logfmt": {"FORMAT": "docker,logfmt", "MULTILINE": "python", "REDACT": "personal", "LEVEL_KEY": "m"},
    "regex and json": {"FORMAT": "regex,json", "REGEX": r"(?P<at>\S+) (?P<message>.*)", "REDACT": "secrets"},
    "json of several lines": {"FORMAT": "json", "MULTILINE": r"\{"},
    "cri of traces": {"FORMAT": "cri", "MULTILINE": "java", "DROP": "b"},
    "regex": {"FORMAT": "regex", "REGEX": REGEX, "TIME_KEY": "at", "LEVEL_KEY": "level", "MULTILINE": "indent"},
    "filters": {"KEEP": "a", "DROP": r"b\s", "REDACT": "/a+/"},
    "traces": {"MULTILINE": "python", "KEEP": "^a"},
    "started": {"MULTILINE": "[ab]", "MAX_LINE_SIZE": "1KiB"},
}


_DATA = st.lists(
    st.sampled_from([
        b"\n", b"\n", b"\r\n", b"\xff", b"\0", b"ab \n", b"a", b"b ", b" c", b"{", b'{"at":"x"}\n',
        b'{"a":1,"id":"x","level":"warn"}\n', b"2026-01-02T03:04:05Z INFO a@b.de\n",
        b"2026-01-02T03:04:05Z stdout P x\n", b"2026-01-02T03:04:05Z stderr F y\n",
        b'2026-01-02T03:04:05Z stdout F {"a":1,"stream":2}\n', b'{"log":"x","stream":"stdout","time":"t"}\n',
        b'{"log":"a=1\\n","stream":"stderr","time":"2026-01-02T03:04:05Z"}\n', b'x {"at":2,"message":"m"}\n',
        b'{"log":"{\\"a\\":1}\\n","attrs":{"b":"c"},"stream":"stdout","time":""}\n',
        b"Traceback (most recent call last):\n", b"  File\n", "é=ü\n".encode(), b'at=1 m="\\u0040"\n', b"x" * 600,
    ]) | st.binary(max_size=6),
    min_size=1,
    max_size=15,
).map(b"".join)  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
@given(_DATA, st.integers(0, 2**40), st.booleans())
def test_bytes_and_lines_in_are_those_of_the_events_and_of_what_was_dropped(
    name: str, data: bytes, start: int, partial: Any
) -> None:
    data = data.removesuffix(b"\n") + (b"" if partial else b"\n")
    if not data:
        return
    records = processed(a_chunk(data, start, partial=partial), **FORMATS[name])
    extents = [records.extent(index) for index in range(len(records.bodies))]
    dropped = list(records.dropped.values())
    assert sum(size for size, _ in extents + dropped) == len(data)
    assert sum(lines for _, lines in extents + dropped) == data.count(b"\n") + bool(
        partial and not data.endswith(b"\n")
    )
    columns = (records.offsets, records.times, records.levels, records.fields, records.counts, records.sizes)
    assert all(len(column) == len(records.bodies) for column in columns if column is not None)
    assert list(records.offsets) == sorted(set(records.offsets))
    assert all(start <= offset < start + len(data) for offset in records.offsets)
    encoded = b"".join(ndjson.encode(Batch("default", (records,))))
    ids = [json.loads(line, object_pairs_hook=no_repeats)["id"] for line in encoded.splitlines()]
    pieces = [""] * len(ids)
    if records.partial:
        pieces[-1] = f"+{records.sizes[-1]}"
    assert ids == [f"f00d-{offset}{piece}" for offset, piece in zip(records.offsets, pieces, strict=True)]
    assert records.raw in (None, data)


def no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs), "a name stands twice"
    return dict(pairs)


def test_json_members_are_members_of_the_record() -> None:
    assert shipped('{"msg":"hi","n":1.5,"deep":{"a":[1]}}\r\nnot json\n[]\n{}\n', FORMAT="json") == [
        {"id": "f00d-0", "msg": "hi", "n": 1.5, "deep": {"a": [1]}},
        {"id": "f00d-39", "message": "not json", "parse_error": "json"},
        {"id": "f00d-48", "message": "[]", "parse_error": "json"},
        {"id": "f00d-51", "message": "{}"},
    ]


def test_time_and_level_are_lifted_and_the_level_keeps_its_text() -> None:
    line = '{"ts":"2026-01-02 03:04:05.250+02:00","lvl":"Warning","message":"m","level":"x","time":"y"}\n'
    assert shipped(line, FORMAT="json", TIME_KEY="ts", LEVEL_KEY="lvl") == [
        {
            "id": "f00d-0", "time": "2026-01-02T01:04:05.250Z", "level": "Warning", "severity": "WARN", "message": "m",
            "level_": "x", "time_": "y",
        }
    ]  # fmt: skip


def test_a_time_or_a_level_that_is_none_stays_where_it_is() -> None:
    line = '{"ts":"soon","lvl":["x"]}\n{"a":1}\n'
    assert shipped(line, FORMAT="json", TIME_KEY="ts", LEVEL_KEY="lvl") == [
        {"id": "f00d-0", "ts": "soon", "lvl": ["x"]},
        {"id": "f00d-26", "a": 1},
    ]
    assert shipped('{"ts":1}\n', FORMAT="json", TIME_KEY="ts", TIME_FORMAT="unix") == [
        {"id": "f00d-0", "time": "1970-01-01T00:00:01Z", "message": ""}
    ]


def test_json_that_is_nested_too_deep_to_be_written_again_is_shipped_as_it_is() -> None:
    for depth, parsed in ((200, True), (400, False), (5000, False)):
        line = '{"a":"b\\n@x.org","deep":' + "[" * depth + "]" * depth + "}"
        for more in ({}, {"REDACT": "secrets,personal"}, {"TIME_KEY": "a"}):
            (record,) = shipped(line + "\n", FORMAT="json", **more)
            assert ("deep" in record) == parsed
            assert record.get("parse_error") == (None if parsed else "json")


def test_what_is_too_long_for_a_time_or_a_level_is_neither() -> None:
    line = json.dumps({"ts": "x" * 1000, "lvl": "y" * 1000})
    (record,) = shipped(line + "\n", FORMAT="json", TIME_KEY="ts", LEVEL_KEY="lvl")
    assert record == {"id": "f00d-0", "ts": "x" * 1000, "lvl": "y" * 1000}
    line = "x" * 200 + " " + "y" * 200 + " m"
    (record,) = shipped(line + "\n", FORMAT="regex", REGEX=REGEX, TIME_KEY="at", LEVEL_KEY="level")
    assert record == {"id": "f00d-0", "at": "x" * 200, "level_": "y" * 200, "message": "m"}


def test_names_of_ours_are_not_taken_from_us() -> None:
    line = '{"id":1,"file":2,"partial":3,"pod":4,"app":5,"id_":6}\n'
    body = ndjson.encode(Batch("default", (records_of(line, FORMAT="json", LABELS="app=shop"),)))
    assert json.loads(b"".join(body)) == {
        "id": "f00d-0", "file": "/logs/a%d.log", "pod": "shop-1", "app": "shop",
        "id__": 1, "file_": 2, "partial_": 3, "pod_": 4, "app_": 5, "id_": 6,
    }  # fmt: skip


def test_regex_with_traces_reads_the_first_line_and_keeps_the_others_in_the_message() -> None:
    data = "10:00 ERROR it failed\n  at x\n10:01 INFO fine\n??\n"
    assert shipped(data, FORMAT="regex", REGEX=REGEX, MULTILINE="indent", LEVEL_KEY="level") == [
        {"id": "f00d-0", "level": "ERROR", "severity": "ERROR", "at": "10:00", "message": "it failed\n  at x"},
        {"id": "f00d-29", "level": "INFO", "severity": "INFO", "at": "10:01", "message": "fine"},
        {"id": "f00d-45", "message": "??", "parse_error": "regex"},
    ]


def test_a_container_runtimes_time_and_stream_are_lifted() -> None:
    data = "2026-01-02T03:04:05.1Z stderr P it \n2026-01-02T03:04:05.2Z stderr F failed\nelse\n"
    assert shipped(data, FORMAT="cri") == [
        {"id": "f00d-0", "time": "2026-01-02T03:04:05.100Z", "stream": "stderr", "message": "it failed"},
        {"id": "f00d-75", "message": "else", "parse_error": "cri"},
    ]


def test_keep_and_drop_see_the_event_as_it_was_written_and_are_counted() -> None:
    records = records_of("a bob@x.org\nb\n  a\nab\n", KEEP="bob|^b|b$", DROP="ab", REDACT="email", MULTILINE="indent")
    assert list(records.bodies) == ["a [email]", "b\n  a"]
    assert records.offsets == [0, 12]
    assert records.dropped == {"filtered": (3, 1)}
    assert records.raw is None


def test_lines_that_nothing_changes_are_handed_on_as_they_were() -> None:
    assert records_of(b"a\r\n\xff\n", REDACT="email", KEEP=".*").raw == b"a\r\n\xff\n"


def test_what_a_parser_unquotes_is_redacted_as_well() -> None:
    assert shipped('m="bob\\u0040x.org" n=1\n', FORMAT="logfmt", REDACT="email")[0]["m"] == "[email]"
    line = '{"m":"bob\\u0040x.org\\nbob@x.org","card":4111111111111111,"password":"a\\"b","n":41}\n'
    assert shipped(line, FORMAT="json", REDACT="secrets,personal") == [
        {"id": "f00d-0", "m": "[email]\n[email]", "card": "[card]", "password": "[password]", "n": 41}
    ]


def test_a_piece_of_a_line_is_not_parsed() -> None:
    records = processed(a_chunk(b'{"a":1}\n{"b":', partial=True), FORMAT="json")
    assert records.fields == [{"a": 1}, {"message": '{"b":', "parse_error": "json"}]
    assert records.partial


_FORMATS = (
    "expected raw, json, logfmt, regex, cri, docker or record; a second one after a comma reads the first one's "
    "message: json, logfmt, regex"
)
_KEYED = "LOGSHIPPER_{} is set, but LOGSHIPPER_FORMAT={} has no use for it: it is for json, logfmt, regex"
_TIMES = "LOGSHIPPER_TIME_FORMAT=%H: expected a pattern with the day, such as %d/%b/%Y %T or %b %d %T"
_ZONES = (
    "LOGSHIPPER_TIME_ZONE={}: expected a name of the IANA database such as Europe/Berlin, an offset such as +02:00, or "
    "local (the variable TZ); there is no such zone"
)
_PRESETS = (
    "LOGSHIPPER_REDACT=all: all is not known; there are email, card, ipv4, ipv6, bearer, cookie, jwt, apikey, "
    "password, url, secrets, personal, and /regex/"
)
_KINDS = (
    "LOGSHIPPER_MULTILINE={}: expected none, java, python, go, ruby, php, node, dotnet, rust, indent, auto, several of "
    "them, or the regex of an event's first line{}"
)


def test_a_piece_that_is_not_kept_leaves_no_mark_on_the_others() -> None:
    records = processed(a_chunk(b"ab\ncd", partial=True), DROP="c")
    assert (records.bodies, records.partial, records.dropped) == (["ab"], False, {"filtered": (2, 1)})


def test_a_carriage_return_between_members_is_not_handed_on() -> None:
    body = b"".join(ndjson.encode(Batch("default", (records_of(b'{"a":1,\r"b":2}\n', FORMAT="json"),))))
    assert b"\r" not in body
    assert json.loads(body)["b"] == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"FORMAT": "json,cri"}, "LOGSHIPPER_FORMAT=json,cri: " + _FORMATS),
        ({"FORMAT": "cri,json,json"}, "LOGSHIPPER_FORMAT=cri,json,json: " + _FORMATS),
        ({"FORMAT": "raw,json"}, "LOGSHIPPER_FORMAT=raw,json: raw,json is json: raw reads nothing"),
        (
            {"FORMAT": "cri,regex"},
            "LOGSHIPPER_FORMAT=cri,regex, but LOGSHIPPER_REGEX is not set: its named groups become the fields",
        ),
        ({"FORMAT": "yaml"}, "LOGSHIPPER_FORMAT=yaml: " + _FORMATS),
        (
            {"REGEX": "(?P<a>.)"},
            "LOGSHIPPER_REGEX is set, but LOGSHIPPER_FORMAT=raw has no use for it: it is for regex",
        ),
        (
            {"FORMAT": "regex"},
            "LOGSHIPPER_FORMAT=regex, but LOGSHIPPER_REGEX is not set: its named groups become the fields",
        ),
        (
            {"FORMAT": "regex", "REGEX": "(?P<a>"},
            "LOGSHIPPER_REGEX=(?P<a>: is not a regex: missing ), unterminated subpattern at character 1",
        ),
        (
            {"FORMAT": "regex", "REGEX": "(?P<a>.)", "TIME_KEY": "b"},
            "LOGSHIPPER_TIME_KEY=b, but LOGSHIPPER_REGEX has no group of that name",
        ),
        ({"TIME_KEY": "a"}, _KEYED.format("TIME_KEY", "raw")),
        ({"FORMAT": "cri", "LEVEL_KEY": "a"}, _KEYED.format("LEVEL_KEY", "cri")),
        (
            {"FORMAT": "json", "TIME_FORMAT": "unix"},
            "LOGSHIPPER_TIME_FORMAT is set, but LOGSHIPPER_TIME_KEY is not: which field has the time?",
        ),
        ({"FORMAT": "json", "TIME_KEY": "a", "TIME_FORMAT": "%H"}, _TIMES),
        ({"FORMAT": "json", "TIME_KEY": "a", "TIME_ZONE": "CEST"}, _ZONES.format("CEST")),
        ({"FORMAT": "json", "TIME_KEY": "a", "TIME_ZONE": "Europe/Bonn"}, _ZONES.format("Europe/Bonn")),
        ({"FORMAT": "json", "TIME_KEY": "a", "TIME_ZONE": "../UTC"}, _ZONES.format("../UTC")),
        (
            {"FORMAT": "json", "TIME_KEY": "a", "TIME_ZONE": "+14:30"},
            "LOGSHIPPER_TIME_ZONE=+14:30: expected an offset between -14:00 and +14:00",
        ),
        (
            {"FORMAT": "json", "TIME_KEY": "a", "TIME_FORMAT": "unix", "TIME_ZONE": "Europe/Paris"},
            "LOGSHIPPER_TIME_ZONE is set, but the times of LOGSHIPPER_TIME_FORMAT=unix have a zone",
        ),
        (
            {"FORMAT": "json", "MULTILINE": "java"},
            "LOGSHIPPER_MULTILINE is set, but LOGSHIPPER_FORMAT=json has no use for java: it joins texts",
        ),
        ({"MULTILINE": "jave"}, _KINDS.format("jave", ", such as ^jave")),
        (
            {"MULTILINE": "(?=a)"},
            _KINDS.format(
                "(?=a)", "; as a regex it cannot be matched in linear time: invalid perl operator: (?= at character 1"
            ),
        ),
        ({"KEEP": "a("}, "LOGSHIPPER_KEEP=a(: is not a regex: missing ), unterminated subpattern at character 2"),
        ({"DROP": "a\\"}, "LOGSHIPPER_DROP=a\\: is not a regex: bad escape (end of pattern) at character 2"),
        ({"REDACT": "all"}, _PRESETS),
        (
            {"FORMAT": "json", "TIME_KEY": "a", "LEVEL_KEY": "a"},
            "LOGSHIPPER_TIME_KEY and LOGSHIPPER_LEVEL_KEY are the same (a): name another field in one of them",
        ),
        ({"LABELS": "id=1"}, "LOGSHIPPER_LABELS=id=1: id cannot be a label: a record has that already"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name_and_what_to_do(values: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(**values)
    assert caught.value.problems == [said]


def test_a_setting_without_a_name_may_be_of_use_for_some_inputs_only() -> None:
    environ = {
        "LOGSHIPPER_APP_PATHS": "/a", "LOGSHIPPER_OLD_PATHS": "/b", "LOGSHIPPER_APP_FORMAT": "json",
        "LOGSHIPPER_TIME_KEY": "ts", "LOGSHIPPER_SINK": "stdout:",
    }  # fmt: skip
    assert load(Settings, environ).inputs["app"].time_key == "ts"


_MEMBERS = st.lists(
    st.tuples(
        st.sampled_from(["ts", "lvl", "a", "id", "message", 'q"']),
        st.sampled_from(
            [
                "2026-01-02T03:04:05Z",
                "INFO",
                5,
                None,
                1.5,
                {"ts": "2026-01-02T03:04:05Z"},
                ["INFO"],
                "{",
                'x\\,"lvl":"INFO"',
                "",
            ]
        ),
    ),
    max_size=5,
    unique_by=lambda member: member[0],
)


@given(st.lists(_MEMBERS, min_size=1, max_size=4), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_json_that_stays_as_it_is_says_the_same_as_json_that_is_read_and_written(
    events: list[list[tuple[str, Any]]], separators: tuple[str, str]
) -> None:
    lines = [json.dumps(dict(members), separators=separators) for members in events]
    values = {"FORMAT": "json", "TIME_KEY": "ts", "LEVEL_KEY": "lvl"}
    spliced = [record for line in lines for record in shipped(line + "\n", **values)]
    written = shipped("\n".join([*lines, "not JSON: all are read\n"]), **values)[:-1]
    together = shipped("".join(f"{line}\n" for line in lines), **values)
    for one, other, third in zip(spliced, written, together, strict=True):
        assert {**one, "id": ""} == {**other, "id": ""} == {**third, "id": ""}
