"""Other encodings than UTF-8, and the byte order mark: texts are decoded, places and sizes are those of the file."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.settings import SettingsError
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.transform.framing import decoding
from tests.logshipper.pipelines import make_pipeline, processed, records_of, settings, shipped
from tests.logshipper.support import a_chunk

_TEXTS = {
    "windows-1252": "Grüße für 5 €",
    "iso-8859-15": "Œuvre à 5 €",
    "koi8-r": "ошибка",
    "shift_jis": "エラー: 表示 ソ",
    "euc-jp": "エラー",
    "gb18030": "错误 😀 鷗",
    "big5": "錯誤 功",
    "euc-kr": "오류",
    "windows-932": "①エラー",
}


@pytest.mark.parametrize("encoding", _TEXTS)
def test_lines_are_decoded_and_places_are_those_of_the_file(encoding: str) -> None:
    text = _TEXTS[encoding]
    lines = [f"{text} {number}".encode(decoding.codec(encoding)) for number in range(3)]
    data = b"".join(line + b"\r\n" for line in lines)
    records = records_of(data, ENCODING=encoding)
    assert records.bodies == [f"{text} {number}" for number in range(3)]
    assert list(records.sizes) == [len(line) + 2 for line in lines]
    assert list(records.offsets) == [0, len(lines[0]) + 2, len(lines[0]) + len(lines[1]) + 4]
    assert records.raw is None
    assert b"".join(Batch("default", (records,)).raw()).decode() == "".join(f"{body}\n" for body in records.bodies)


@pytest.mark.parametrize("encoding", decoding.ENCODINGS)
def test_a_newline_is_a_newline_in_every_encoding_and_no_byte_is_lost(encoding: str) -> None:
    name = decoding.codec(encoding)
    if encoding in ("auto", "utf-16le", "utf-16be"):
        return
    for lead in range(256):
        pair = bytes([lead, 0x0A, 0x41])
        assert pair.split(b"\n")[0].decode(name, "replace") + "\nA" == pair.decode(name, "replace") or lead == 0x0A
    assert b"\n".decode(name) == "\n"


@given(
    st.lists(st.binary(max_size=6), min_size=1, max_size=5), st.sampled_from(["shift_jis", "gb18030", "windows-1252"])
)
def test_any_bytes_belong_to_exactly_one_event(lines: list[bytes], encoding: str) -> None:
    data = b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)
    for more in ({}, {"MULTILINE": "[a-m]"}, {"MULTILINE": "java", "KEEP": "a"}):
        records = processed(a_chunk(data, 7), ENCODING=encoding, **more)
        dropped = records.dropped.get("filtered", (0, 0))
        counts = [1] * len(records.bodies) if records.counts is None else records.counts
        assert sum(records.sizes) + dropped[0] == len(data)
        assert sum(counts) + dropped[1] == len(lines)


def test_events_of_several_lines_end_at_the_same_place_in_the_file() -> None:
    data = "Fehler für\n weiter ü\nnächste\n".encode("cp1252")
    pipeline = make_pipeline(ENCODING="windows-1252", MULTILINE="indent")
    assert pipeline.boundary is not None
    assert pipeline.boundary(data) == len("Fehler für\n weiter ü\n")
    assert processed(a_chunk(data), ENCODING="windows-1252", MULTILINE="indent").bodies == [
        "Fehler für\n weiter ü",
        "nächste",
    ]


def test_regexes_and_redaction_see_decoded_text() -> None:
    data = "größe pin=geheimnüß\nklein\n".encode("cp1252")
    records = records_of(data, ENCODING="windows-1252", KEEP="größe", REDACT=r"/pin=(\S+)/")
    assert records.bodies == ["größe pin=[redacted]"]


@pytest.mark.parametrize("values", [{}, {"FORMAT": "json"}, {"MULTILINE": "java"}, {"FORMAT": "logfmt"}])
def test_a_byte_order_mark_at_the_beginning_is_skipped_and_counted_as_read(values: dict[str, str]) -> None:
    line = b'{"a":"1"}\n' if values.get("FORMAT") == "json" else b"a=1\n"
    data = b"\xef\xbb\xbf" + line + line
    records = records_of(data, **values)
    expected = line.decode().strip()
    assert records.bodies == [expected, expected]
    assert sum(records.sizes) == len(data)
    assert list(records.offsets) == [0, 3 + len(line)]
    assert b"".join(Batch("default", (records,)).raw()) == line * 2
    assert "parse_error" not in str(shipped(data, **values))
    later: Any = processed(a_chunk(data, 100), **values)
    assert later.bodies[0].startswith("\ufeff"), "it is text anywhere else"


@pytest.mark.parametrize("name", ["utf-7", "iso-2022-jp", "hz", "x", "", "idna"])
def test_an_encoding_in_which_newlines_are_not_certain_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected one of utf-8, "):
        decoding.find(name)


def test_entries_of_container_runtimes_are_utf_8() -> None:
    with pytest.raises(
        SettingsError, match="LOGSHIPPER_ENCODING is set, but entries of LOGSHIPPER_FORMAT=cri are UTF-8"
    ):
        settings(FORMAT="cri", ENCODING="gbk")
