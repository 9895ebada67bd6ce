"""Events of several lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.transform.framing.multiline import Splitter, create_splitter
from sidecars.logshipper.transform.framing.multiline_kinds import NAMES

_LIMIT = 1 << 20

JAVA = """\
2026-01-02 10:00:00,123 ERROR [main] shop.Order - it failed
java.lang.IllegalStateException: no stock
\tat shop.Order.take(Order.java:12)
\t... 23 common frames omitted
Caused by: java.io.IOException: x: y
\tat shop.Stock.get(Stock.java:7)
\tSuppressed: java.lang.Exception

2026-01-02 10:00:00,124 INFO  [main] shop.Order - next
scala.MatchError
2026-01-02 10:00:00,125 INFO  [main] shop.Order - last
"""
PYTHON = """\
ERROR:root:it failed
Traceback (most recent call last):
  File "a.py", line 2, in f
    x = d["a"]
        ~^^^^^
KeyError: 'a'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 4, in <module>
    f()
shop.NoStock
INFO:root:next
Traceback (most recent call last):
  File "b.py", line 1, in <module>
ValueError: of two
 lines
DEBUG:root:last
"""
GO = """\
2026/01/02 10:00:00 next
panic: runtime error: index out of range [5] with length 3
[signal SIGSEGV: segmentation violation]

goroutine 1 [running]:
main.(*Shop).take(0xc000012345, {0x4a, 0x2})
\t/src/main.go:8 +0x1d
main.main()
\t/src/main.go:4 +0x20
created by main.start in goroutine 7
exit status 2
2026/01/02 10:00:01 last
"""
TRACES = """\
shop.NoStock: no stock
java.io.IOException: closed
Orders$Sold: out
two words: of a message
of item 7
    at take (/app/x.js:1:2)
   at Shop.Take() in Shop.cs:line 3
\t... 3 more
Caused by: Orders$Sold: out
--- End of inner exception stack trace
/app/x.js:12
^
}
x.rb:6:in `take': no stock (NoStock)
x.rb:7:in `<main>'
\tfrom x.rb:8:in `<main>'
\t1: from x.rb:9:in `<main>'
E, [2026-01-02T03:04:05 #7] ERROR -- : no stock
PHP Fatal error:  Uncaught NoStock: no stock
Stack trace:
#0 /app/x.php(4): intdiv()
Next NoStock: no stock
thread 'main' panicked at x.rs:1:2:
note: run with `RUST_BACKTRACE=1`
stack backtrace:
panic: no stock [recovered]
fatal error: all goroutines are asleep
goroutine 7 [running]:
main.take(...)
created by main.main
The above exception was the direct cause of the following exception:
DETAIL: item 7
INFO next
""".splitlines()


def events(kind: str, text: str, limit: int = _LIMIT) -> list[str]:
    return found(kind, limit).split(text.removesuffix("\n"), text.removesuffix("\n").encode())[0]


def found(kind: str, limit: int = _LIMIT) -> Splitter:
    made = create_splitter(kind, limit)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("kind", "text", "starts"),
    [
        ("java", JAVA, ["2026-01-02 10:00:00,123", "2026-01-02 10:00:00,124", "2026-01-02 10:00:00,125"]),
        ("python", PYTHON, ["ERROR", "INFO", "DEBUG"]),
        ("go", GO, ["2026/01/02 10:00:00", "panic", "2026/01/02 10:00:01"]),
        ("indent", "a\n  b\n\tc\n\nd\ne\n", ["a", "d", "e"]),
        (r"\d{4}-", JAVA, ["2026-01-02 10:00:00,123", "2026-01-02 10:00:00,124", "2026-01-02 10:00:00,125"]),
        (r"(?i)(error|info|debug):", PYTHON, ["ERROR", "INFO", "DEBUG"]),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_stack_trace_goes_to_the_line_before_it(kind: str, text: str, starts: list[str], newline: str) -> None:
    text = text.replace("\n", newline)
    got = events(kind, text)
    assert [event[: len(start)] for event, start in zip(got, starts, strict=True)] == starts
    assert "\n".join(got) + "\n" == text, "nothing is lost"


_PIECES = st.lists(
    st.sampled_from(
        [
            *JAVA.splitlines(),
            *PYTHON.splitlines(),
            *GO.splitlines(),
            "",
            " x",
            "é",
            "2026 z",
            "\ufffd",
            "a.B: c",
            "f(x)",
            *TRACES,
        ]
    ),
    min_size=1,
    max_size=25,
)
_KINDS = st.sampled_from([*NAMES, r"\d{4}", r"[A-Z]+:"])


@given(_KINDS, _PIECES, st.data(), st.sampled_from([_LIMIT, 60, 200]))
def test_wherever_the_stream_is_cut_the_events_are_the_same(
    kind: str, lines: list[str], data: st.DataObject, limit: int
) -> None:
    if kind in NAMES and kind != "indent":
        limit = _LIMIT  # the limit cuts a traceback in another way
    made = found(kind, limit)
    whole = "".join(f"{line}\n" for line in lines).encode()
    expected = made.split(whole[:-1].decode(), whole[:-1])
    got: tuple[list[str], list[int]] = ([], [])
    position = 0
    cuts = sorted(data.draw(st.sets(st.integers(1, len(lines)), max_size=6)) | {len(lines)})
    for count in cuts:
        seen = len("".join(f"{line}\n" for line in lines[:count]).encode())
        end = (
            seen
            if count == len(lines)
            else position + made.boundary(whole[position:seen])
            if seen > position
            else position
        )
        if end > position:
            block = whole[position : end - 1]
            bodies, sizes, _ = made.split(block.decode(), block)
            got = (got[0] + bodies, got[1] + sizes)
            position = end
    assert got == expected[:2]


@given(_KINDS, st.binary(max_size=200), st.sampled_from([_LIMIT, 10]))
def test_sizes_and_lines_are_those_of_the_file_whatever_its_bytes(kind: str, data: bytes, limit: int) -> None:
    text = data.decode("utf-8", "replace")
    got, sizes, counts = found(kind, limit).split(text, data)
    assert sum(sizes) == len(data) + 1
    assert (counts or [1] * len(got)) == [event.count("\n") + 1 for event in got]
    assert sum(event.count("\n") + 1 for event in got) == data.count(b"\n") + 1
    start = 0
    for event, size in zip(got, sizes, strict=True):
        assert event == data[start : start + size - 1].decode("utf-8", "replace")
        start += size


def test_an_event_above_the_limit_comes_in_pieces_of_whole_lines() -> None:
    text = "2026 a\n" + " x23456789\n" * 10
    got = events("indent", text, 40)
    assert "\n".join(got) + "\n" == text
    assert all(len(event) < 40 for event in got)
    assert len(got) == 4


@pytest.mark.parametrize("kind", [*NAMES, r"\d+ (a|b)*c"])
@pytest.mark.parametrize(
    "line", ["a" * 300_000, "a." * 150_000, "A.B" * 100_000, "f(" * 150_000, "a(b)" * 70_000, "1 " + "ab" * 150_000]
)
def test_a_line_made_to_take_long_does_not(kind: str, line: str) -> None:
    assert events(kind, f"first\n{line}\nTraceback (most recent call last):\n{line}\n{line}\n")
    assert found(kind).boundary(f"first\n{line}\n{line}\n".encode()) >= 0


@pytest.mark.parametrize("written", [r"\d\d:", r"^\d\d:", r"regex:\d\d:", r"regex:^\d\d:"])
def test_the_regex_of_a_first_line_may_be_announced(written: str) -> None:
    made = create_splitter(written, 1000)
    assert made is not None
    text = "10: one\n  more\n11: two"
    assert made.split(text, text.encode())[0] == ["10: one\n  more", "11: two"]
