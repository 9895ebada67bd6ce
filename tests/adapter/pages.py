"""Random metrics pages for property tests: valid in both formats, with every character that the formats allow."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.parser import parse_page

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Labels = dict[str, str]

ugly = 'ab1"\\\n\t\0 é😀{},=#_'
label_values = st.text(ugly, max_size=8)
labels = st.dictionaries(st.sampled_from(["a", "b", "job", "A_1"]), label_values, max_size=3)
numbers = st.sampled_from(["0", "1", "-2.5", "1e3", "+Inf", "NaN", "0.001", "12345678901234567"])
counts = st.sampled_from(["0", "1", "2.5", "1e+06"])
helps = st.text(ugly, max_size=12).map(lambda text: text.strip())


@dataclass(frozen=True)
class Family:
    """A metric family. A sample is its suffix, labels, value (in OpenMetrics with an exemplar), and milliseconds."""

    name: str
    kind: str
    help: str
    samples: list[tuple[str, Labels, str, int | None]]


def escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _line(name: str, pairs: Labels, value: str, timestamp: str) -> str:
    inside = ",".join(f'{label}="{escape(text)}"' for label, text in pairs.items())
    return f"{name}{{{inside}}} {value}{timestamp}\n" if inside else f"{name} {value}{timestamp}\n"


def as_text(families: list[Family]) -> bytes:
    page = ""
    for family in families:
        counter = "_total" if family.kind == "counter" else ""
        kind = "untyped" if family.kind == "unknown" else family.kind
        about = family.help.replace("\\", r"\\").replace("\n", r"\n")
        page += f"# HELP {family.name}{counter} {about}\n# TYPE {family.name}{counter} {kind}\n"
        for suffix, pairs, value, time in family.samples:
            page += _line(family.name + suffix, pairs, value, "" if time is None else f" {time}")
    return page.encode()


def as_openmetrics(families: list[Family]) -> bytes:
    page = ""
    for family in families:
        page += f"# TYPE {family.name} {family.kind}\n# HELP {family.name} {escape(family.help)}\n"
        for suffix, pairs, value, time in family.samples:
            number, mark, exemplar = value.partition(" # ")
            stamp = "" if time is None else f" {time / 1000}"
            page += _line(family.name + suffix, pairs, number, stamp + mark + exemplar)
    return f"{page}# EOF\n".encode()


def _key(pairs: Labels) -> tuple[tuple[str, str], ...]:
    """Return a key that is equal for equal label sets: an empty value means the same as no label."""
    return tuple(sorted(pair for pair in pairs.items() if pair[1]))


def _stateset_name(name: str) -> str:
    """Return a family's name that is valid as a label's name, too."""
    return "x" + name.replace(":", "_")


BOTH = ("gauge", "unknown", "counter", "histogram", "summary")
OPENMETRICS_ONLY = ("info", "stateset", "gaugehistogram", "counter with more", "gauge with points")


@st.composite
def _families(draw: st.DrawFn, name: str) -> Family:
    kind = draw(st.sampled_from(BOTH))
    sets = draw(st.lists(labels, max_size=4, unique_by=_key))
    samples: list[tuple[str, Labels, str, int | None]] = []
    for pairs in sets:
        time = draw(st.none() | st.integers(0, 2_000_000_000_000))
        if kind == "histogram":
            count = 0
            for bound in [*sorted(draw(st.sets(st.sampled_from([0.1, 1.0, 2.5, 10.0])))), float("inf")]:
                count += draw(st.integers(0, 3))
                le = "+Inf" if bound == float("inf") else str(bound)
                samples.append(("_bucket", {**pairs, "le": le}, str(count), time))
            samples += [("_sum", pairs, draw(counts), time), ("_count", pairs, str(count), time)]
        elif kind == "summary":
            samples.extend(
                ("", {**pairs, "quantile": quantile}, draw(counts), time)
                for quantile in sorted(draw(st.sets(st.sampled_from(["0.5", "0.9", "0.99"]))))
            )
            samples += [("_sum", pairs, draw(counts), time), ("_count", pairs, "3", time)]
        elif kind == "counter":
            samples.append(("_total", pairs, draw(counts), time))
        else:
            samples.append(("", pairs, draw(numbers), time))
    return Family(name, kind, draw(helps), samples)


@st.composite
def _openmetrics_families(draw: st.DrawFn, name: str) -> Family:
    kind = draw(st.sampled_from(OPENMETRICS_ONLY))
    samples: list[tuple[str, Labels, str, int | None]] = []
    for pairs in draw(st.lists(labels, max_size=3, unique_by=_key)):
        time = draw(st.none() | st.integers(0, 2_000_000_000_000))
        if kind == "info":
            samples.append(("_info", pairs, "1", None))
        elif kind == "stateset":
            samples.extend(
                ("", {**pairs, _stateset_name(name): state}, draw(st.sampled_from("01")), time) for state in "pq"
            )
        elif kind == "gaugehistogram":
            samples += [
                ("_bucket", {**pairs, "le": "1.0"}, "1 # {} 0.5", time),
                ("_bucket", {**pairs, "le": "+Inf"}, "2", time),
            ]
            samples += [("_gcount", pairs, "2", time), ("_gsum", pairs, draw(counts), time)]
        elif kind == "counter with more":
            exemplar = draw(st.sampled_from(["", ' # {trace="é"} 1', " # {} 1e3 5.25"]))
            samples += [("_total", pairs, draw(counts) + exemplar, time), ("_created", pairs, "5.5", time)]
        else:
            steps = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=3, unique=True))
            samples.extend(("", pairs, draw(numbers), step) for step in sorted(steps))
    word, _, _ = kind.partition(" ")
    return Family(_stateset_name(name) if kind == "stateset" else name, word, draw(helps), samples)


@st.composite
def openmetrics_pages(draw: st.DrawFn) -> list[Family]:
    """Draw families of different names, with types and exemplars that only OpenMetrics has."""
    names = draw(st.lists(st.sampled_from(["up", "x:y", "requests", "_z", "heap_bytes"]), max_size=4, unique=True))
    return [draw(st.one_of(_families(name), _openmetrics_families(name))) for name in names]


@st.composite
def pages(draw: st.DrawFn) -> list[Family]:
    """Draw families of different names, with types that both formats have."""
    names = draw(st.lists(st.sampled_from(["up", "x:y", "requests", "_z", "heap_bytes"]), max_size=4, unique=True))
    return [draw(_families(name)) for name in names]


PIECES = [
    *'"\\{},= \n\t#1-_.eé:',
    *("NaN", "+Inf", "0x1", "1_0", 'le="1"', 'quantile="2"', '__name__="x"', 'a="', '"up"', " # {} 1"),
    *("# HELP up x\n", "# TYPE up gauge\n", "# UNIT up up\n", "# EOF\n", "_total", "_count"),
]  # fmt: skip


@st.composite
def broken(draw: st.DrawFn, whole: st.SearchStrategy[list[Family]], write: Callable[[list[Family]], bytes]) -> str:
    """Draw a page with a few accidents: bytes inserted or cut out, lines moved or doubled."""
    text = write(draw(whole)).decode()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        lines = re.findall(r"[^\n]*\n|[^\n]+", text)
        match draw(st.sampled_from(["insert", "cut", "double", "move"])):
            case "insert":
                text = text[:at] + draw(st.sampled_from(PIECES)) + text[at:]
            case "cut":
                text = text[:at] + text[at + draw(st.integers(1, 4)) :]
            case accident if lines:
                one = draw(st.integers(0, len(lines) - 1))
                line = lines[one] if accident == "double" else lines.pop(one)
                lines.insert(draw(st.integers(0, len(lines))), line)
                text = "".join(lines)
    return text


Series = dict[tuple[str, tuple[tuple[str, str], ...]], tuple[str, float | None]]


def series(exposition: Exposition) -> Series:
    """Return all series with value (as text, so that NaN is equal to itself) and timestamp."""
    return {
        (one.name, one.labels): (repr(one.value), one.timestamp)
        for name in exposition.metric_names()
        for one in exposition.select(name)
    }


def read(page: bytes, content_type: str) -> Exposition:
    return parse_page(page, content_type, 10_000)


def parse_text(page: str | bytes) -> Exposition:
    return parse_page(page.encode() if isinstance(page, str) else page, TEXT, 1000)


def parse_openmetrics(page: str) -> Exposition:
    """Parse a page of OpenMetrics, whose `# EOF` is added."""
    return parse_page(f"{page}# EOF\n".encode(), OPENMETRICS, 1000)
