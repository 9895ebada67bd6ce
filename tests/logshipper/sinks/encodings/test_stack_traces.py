"""The parts of stack traces, as real runtimes write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecars.logshipper.sinks.encodings import stack_traces
from sidecars.logshipper.transform.framing.multiline import create_splitter

_TRACES = Path(__file__).parents[2] / "transform" / "framing" / "traces"


def traces(kind: str) -> list[tuple[str, str]]:
    data = (_TRACES / f"{kind}.log").read_bytes().rstrip(b"\n")
    splitter = create_splitter(kind, 1 << 20)
    assert splitter is not None
    found = map(stack_traces.find, splitter.split(data.decode(), data)[0])
    return [(trace.type, trace.message) for trace in found if trace is not None]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("java", ("Orders$NoStock", "no stock\n  of item 7\nin this shop")),
        ("java", ("java.lang.Error", "thread died")),
        ("java", ("java.lang.IllegalStateException", "")),
        ("dotnet", ("System.InvalidOperationException", "no stock\nof item 7\nin this shop")),
        ("dotnet", ("Shop.NoStock", "Exception of type 'Shop.NoStock' was thrown.")),
        ("node", ("Error", "ENOENT: no such file or directory, open '/nope'")),
        ("python", ("NoStock", "no stock\nDETAIL: item 7\nof this shop")),
        ("go", ("panic", "assignment to entry in nil map")),
        ("rust", ("panic", "no stock\nof item 7\n\nin this shop")),
        ("php", ("DivisionByZeroError", "Division by zero")),
        ("ruby", ("NoMethodError", "undefined method `x' for nil:NilClass")),
    ],
)
def test_the_type_and_the_message_of_an_exception_are_found(kind: str, expected: tuple[str, str]) -> None:
    assert expected in traces(kind)


def test_the_text_before_the_trace_is_the_log_line() -> None:
    text = "2026-01-02 ERROR shop - it failed\njava.io.IOException: closed\n\tat shop.Order.take(Order.java:12)\n"
    found = stack_traces.find(text)
    assert found is not None
    assert found.before == "2026-01-02 ERROR shop - it failed"
    assert found.text == "java.io.IOException: closed\n\tat shop.Order.take(Order.java:12)"


@pytest.mark.parametrize(
    "text", ["", "one line: java.io.IOException: x", "SELECT\n1\n", "a\n  at the end of: the day\n"]
)
def test_other_texts_have_none(text: str) -> None:
    assert stack_traces.find(text) is None


@pytest.mark.parametrize(
    "text", ["a." * 100_000 + "\n\tat x", "a: " * 100_000 + "\n\tat x", "x\n" * 100_000 + "Stack trace:"]
)
def test_a_text_made_to_take_long_does_not(text: str) -> None:
    stack_traces.find(text)
