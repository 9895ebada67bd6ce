"""Stack traces of real runtimes, and what looks like one.

`traces/<kind>.log` was written by OpenJDK 17, Python 3.11, Node.js 20, Go 1.19, Ruby 3.1, PHP 8.2 and rustc 1.95;
that of .NET is made of its documentation. `traces/<kind>.events` has the lines of each event, and its first line.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.transform.framing import multiline_kinds
from sidecars.logshipper.transform.framing.dated_lines import DatedLines
from sidecars.logshipper.transform.framing.multiline import Splitter, create_splitter
from sidecars.logshipper.transform.framing.multiline_kinds import NAMES
from sidecars.logshipper.transform.framing.trace_splitter import TraceSplitter
from tests.support import examples

_FOLDER = Path(__file__).parent / "traces"
_KINDS = sorted(path.stem for path in _FOLDER.glob("*.log"))


def splitter(kind: str) -> Splitter:
    made = create_splitter(kind, 1 << 20)
    assert made is not None
    return made


def events(kind: str, text: str) -> list[str]:
    text = text.removesuffix("\n")
    return splitter(kind).split(text, text.encode())[0]


def log_of(kind: str) -> str:
    return (_FOLDER / f"{kind}.log").read_text()


def wanted(kind: str) -> list[str]:
    return (_FOLDER / f"{kind}.events").read_text().splitlines()


@pytest.mark.parametrize("kind", _KINDS)
def test_the_traces_of_a_real_runtime_are_one_event_each(kind: str) -> None:
    expected = [line.partition("\t")[2] for line in wanted(kind)]
    found = events(kind, log_of(kind))
    assert [event.partition("\n")[0] for event in found] == expected
    assert [str(event.count("\n") + 1) for event in found] == [line.partition("\t")[0] for line in wanted(kind)]


@pytest.mark.parametrize("kind", sorted({*_KINDS} - {"php"}))
def test_auto_and_lists_find_the_traces_of_all_their_kinds(kind: str) -> None:
    """PHP's exceptions look as those of other languages do, so `auto` joins them to a log line before."""
    assert events("auto", log_of(kind)) == events(kind, log_of(kind))
    assert events(f"indent, {kind}", log_of(kind)) == events(kind, log_of(kind))


@pytest.mark.parametrize("kind", [*_KINDS, "auto"])
def test_traces_are_the_same_wherever_the_file_is_cut(kind: str) -> None:
    data = log_of("java" if kind == "auto" else kind).encode() * 3
    made, rng = splitter(kind), random.Random(kind)
    expected = made.split(data[:-1].decode(), data[:-1])[0]
    ends = [at + 1 for at, byte in enumerate(data) if byte == 10]
    found: list[str] = []
    position = 0
    for end in [*sorted(rng.sample(ends, 40)), len(data)]:
        cut = end if end == len(data) else position + made.boundary(data[position:end])
        if cut > position:
            block = data[position : cut - 1]
            found += made.split(block.decode(), block)[0]
            position = cut
    assert found == expected


@pytest.mark.parametrize("kind", [*_KINDS, "auto"])
@pytest.mark.parametrize(
    "text",
    [
        "one\ntwo\n",
        "shop.Cache: warmed up\nshop.Stock: 3 items\n",  # lines of a logger, not classes of exceptions
        "com.acme.Service: started\n2026-01-02 03:04:05 INFO next\n",
        "handled request foo(bar)\nlevel=info call(x)\nok\n",
        "called foo(bar)\nfoo(bar)\nfoo(bar)\n",
        "note: three items left\nnext: one\nError rate: 0\n",
        "2026-01-02 03:04:05 ERROR failed: Error\nTotal: 3\nplain\n2026-01-02 03:04:06 INFO next\n",
        "panic button pressed\ncreated by user 17\nthread 7 started\n",
        "#1 bestseller\n#2 runner-up\nNext track\nStack trace of orders\n",
        "/api/x: 80\nGET /api/x 200\n",
        'level=error msg="NullPointerException: no stock"\nlevel=info msg=next\nplain\n',
    ],
)
def test_what_is_no_trace_is_not_joined(kind: str, text: str) -> None:
    assert events(kind, text) == text.splitlines()


def test_the_lines_between_an_exception_and_its_first_frame_belong_to_it() -> None:
    text = (
        "INFO started\norg.postgresql.util.PSQLException: duplicate key\n  Detail: Key (id)=(1) already exists.\n"
        "in statement\nINSERT INTO x\n\tat org.postgresql.X.y(X.java:1)\nINFO next\n"
    )
    assert [event.partition("\n")[0] for event in events("java", text)] == ["INFO started", "INFO next"]


@pytest.mark.parametrize("kind", ["java", "auto"])
def test_a_message_has_twenty_further_lines_at_most_and_ends_before_a_line_of_a_logger(kind: str) -> None:
    exception, frame = "java.io.IOException: closed\n", "x\n\tat shop.Order.take(Order.java:12)\n"
    assert len(events(kind, exception + "x\n" * 19 + frame)) == 1
    assert len(events(kind, exception + "x\n" * 20 + frame)) > 1
    assert events(kind, exception + "2026-01-02 03:04:05 INFO a\n" + frame)[0] == exception.strip()


def test_two_traces_in_a_row_are_two_events() -> None:
    java = "java.io.IOException: a\n\tat x.Y.z(Y.java:1)\njava.io.IOException: b\n\tat x.Y.z(Y.java:1)\n"
    python = 'Traceback (most recent call last):\n  File "a.py", line 1\nKeyError: 1\n' * 2
    assert len(events("java", java)) == len(events("python", python)) == 2


def test_a_message_of_python_in_a_log_line_ends_with_the_next_log_line() -> None:
    trace = 'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: multi\nline\n\nand more\n'
    assert [event[:5] for event in events("python", f"ERROR:root:x\n{trace}INFO:root:y\n")] == ["ERROR", "INFO:"]
    assert [event[:5] for event in events("python", f"plain\n{trace}")] == ["plain", "line\n", "and m"]
    pydantic = "pydantic_core.ValidationError: 1 error\nport\n  Field required\nnext\n"
    assert len(events("python", f'Traceback (most recent call last):\n  File "a.py"\n{pydantic}')) == 2


_BEGINNINGS = [
    *(
        "2026-01-31 10:00:00 INFO a",
        "2026-01-31T10:15:in 'x'",
        "2026-01-31_a.rb:5:in 'x'",
        "[2026-01-31 ",
        "10:00:00.1",
    ),
    *("\tat a.b.C(C.java:1)", "Caused by: a.B: x", "a.b.SomeException: x", "", "\r", "  File", "plain text", '{"a":1}'),
    *(
        "Traceback (most recent call last):",
        "ValueError: x",
        "goroutine 1 [running]:",
        "main.f()",
        "ERROR x",
        "}",
        "^^^",
    ),
    *("#0 a.php(1)", "Stack trace:", "/a.js:1", "note: run with", "stack backtrace:", "a.rb:1:in `x'", "level=info"),
]


@pytest.mark.parametrize("kind", NAMES)
@examples(30)
@given(st.lists(st.sampled_from(_BEGINNINGS), min_size=1, max_size=12))
def test_the_blocks_and_those_that_no_logger_wrote_are_found_in_one_search(kind: str, lines: list[str]) -> None:
    """One regex finds what two searches find, one after the other."""
    rules = multiline_kinds.find(kind)
    assert rules is not None
    blocks = re.split(rf"\n(?!{rules.continues})", "\n".join(lines), flags=re.ASCII)
    doubtful = [index for index, block in enumerate(blocks) if "\n" in block or not multiline_kinds.LOG_LINE(block)]
    assert TraceSplitter(rules, 1 << 20)._blocks("\n".join(lines)) == (blocks, doubtful)


_DATES = [
    "2026-01-31 10:00:00 INFO a",
    "2026-01-31 é",
    "2026-01-31T10:15 a",
    "[2026/01/31 10",
    "31-Jan-2026 10:00:00.1 x",
]
_EXPECTS = [
    *("During handling of the above exception, another exception occurred:", "panic: x [recovered]"),
    *("thread 'main' panicked at x.rs:1:2:", "Traceback (most recent call last):", "2026-01-31 java.io.IOException: x"),
]


@pytest.mark.parametrize("kind", NAMES)
@examples(100)
@given(st.sampled_from(_DATES), st.data())
def test_lines_with_the_date_of_the_day_are_split_as_all_others_are(kind: str, dated: str, data: st.DataObject) -> None:
    """Most lines of most logs have that date, and are not looked at one by one."""
    line = st.one_of(st.just(dated), st.just(dated), st.sampled_from([*_BEGINNINGS, *_DATES, *_EXPECTS]))
    lines = data.draw(st.lists(line, min_size=1, max_size=30))
    rules = multiline_kinds.find(kind)
    assert rules is not None
    made, slow = TraceSplitter(rules, 1 << 20), TraceSplitter(rules, 1 << 20)
    slow._dated = DatedLines(r"\0")  # no line has a date before a NUL: each is looked at
    text = "\n".join(lines)
    assert made.split(text, text.encode()) == slow.split(text, text.encode())
    block = f"{text}\n".encode()
    assert made.boundary(block) == slow.boundary(block)


def test_a_trace_after_a_line_with_the_date_of_the_day_belongs_to_it_and_the_next_such_line_does_not() -> None:
    line, trace = "2026-01-31 10:00:00 ERROR a\n", "java.io.IOException: closed\n\tat x.Y.z(Y.java:1)\n"
    assert events("java", line * 3 + trace + line * 2 + trace) == [
        *[line.strip()] * 2,
        f"{line}{trace}".strip(),
        line.strip(),
        f"{line}{trace}".strip(),
    ]
