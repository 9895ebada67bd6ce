"""The tables on the page of all sinks name every sink, and agree with the registry, each sink's text and the README."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from sidecars.logshipper.config.sink_registry import SCHEMES, Scheme
from tests.support import ROOT

README = (ROOT / "sidecars/logshipper/README.md").read_text()
PAGES = ROOT / "docs/reference/logshipper"
SINKS = (PAGES / "sinks.md").read_text()
BATCH = {"batch_size": "512 KiB", "batch_timeout": "1 s"}


def table(text: str, head: str) -> list[list[str]]:
    """Return the rows of the table whose first line begins with `head`, without this line."""
    lines = text[text.index(f"\n{head}") + 1 :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def sinks_in(cell: str) -> set[str]:
    return set(re.findall(r"`([a-z0-9+]+)`", cell))


def kinds() -> dict[str, Scheme]:
    """Return the row of each sink by its name in the tables."""
    found: dict[str, Scheme] = {}
    for scheme, row in SCHEMES.items():
        name = re.sub(r"^(loki|elasticsearch|otlp|splunk)\+https?$", r"\1", scheme)
        name = {"https": "http", "gelf+https": "gelf+http", "gelf+tls": "gelf+tcp"}.get(name, name)
        name = {"syslog+tcp": "syslog", "syslog+tls": "syslog"}.get(name, name.removesuffix("+tls"))
        found.setdefault(name, row)
    return found


def guarantees() -> dict[str, tuple[str, str]]:
    """Return the guarantee of each sink and its default batch, in the row of its default settings."""
    found: dict[str, tuple[str, str]] = {}
    for sinks, guarantee, _, _, batch in table(SINKS, "| sink | after kill -9 |"):
        for sink in sinks_in(sinks):
            found.setdefault(sink, (guarantee, batch))
    return found


GUARANTEES = guarantees()


def test_the_table_of_guarantees_has_every_sink() -> None:
    assert GUARANTEES.keys() == kinds().keys()


@pytest.mark.parametrize("sink", sorted(kinds()))
def test_the_default_batch_in_the_table_is_that_of_the_registry(sink: str) -> None:
    size, timeout = (dict(kinds()[sink].defaults).get(name, default) for name, default in BATCH.items())
    spaced = [re.sub(r"(\d)([A-Za-z])", r"\1 \2", value) for value in (size, timeout)]
    assert GUARANTEES[sink][1] == " or ".join(spaced)


@pytest.mark.parametrize("sink", sorted(kinds()))
def test_a_sinks_text_promises_what_the_table_does(sink: str) -> None:
    spec = find_spec(f"sidecars.logshipper.sinks.{kinds()[sink].module}")
    assert spec is not None
    assert spec.origin is not None
    text = " ".join((ast.get_docstring(ast.parse(Path(spec.origin).read_text())) or "").lower().split())
    promise = GUARANTEES[sink][0]
    if "exactly once" in promise:
        assert "exactly once" in text
    elif "at least once" in promise:
        assert "at least once" in text
    else:
        assert "may be lost" in promise
        assert "are lost" in text


def test_the_readme_promises_what_the_table_does() -> None:
    once, rest = README.partition("- **Exactly once**")[2].partition("\n- ")[0].split("**At least once**")
    assert sinks_in(once) == {sink for sink, (promise, _) in GUARANTEES.items() if "exactly once" in promise}
    assert sinks_in(rest.partition("and `syslog`")[0]) - {"id"} == {"stdout"}
    assert {"syslog", "gelf+tcp"} == {sink for sink, (promise, _) in GUARANTEES.items() if "may be lost" in promise}
    assert "`syslog` and `gelf+tcp`, which have no acknowledgement and **may lose lines**" in " ".join(rest.split())


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_each_scheme_has_a_page_and_a_row_of_what_is_accepted(scheme: str) -> None:
    texts = [page.read_text() for page in PAGES.glob("sink-*.md")]
    urls = "\n".join(re.findall(r"^`LOGSHIPPER_SINK` is (`.*`)\. ", text, re.MULTILINE)[0] for text in texts)
    assert f"`{scheme}://" in urls.replace("stdout:", "stdout://")
    first = " ".join(row[0] for row in table(SINKS, "| `SINK` | accepted is |"))
    for form in ("http", "elasticsearch+http", "loki+http", "otlp+http", "splunk+http", "gelf+http"):
        first = first.replace(f"`{form}(s)://", f"`{form}:// `{form}s://")
    first = re.sub(r"`(\w+)\(\+tls\)://", r"`\1:// `\1+tls://", first).replace("stdout:", "stdout://")
    assert f"`{scheme}://" in first


def test_the_table_of_compressions_is_that_of_the_registry() -> None:
    kinds_of = ("none", "gzip", "zstd", "snappy", "lz4")
    rows = table(SINKS, "| | none | gzip | zstd | snappy | lz4 |")
    written = {
        sink: tuple(kind for kind, cell in zip(kinds_of, cells, strict=True) if "✓" in cell)
        for names, *cells in rows
        for sink in sinks_in(names)
    }
    assert written == {
        sink: tuple(kind for kind in kinds_of if kind in row.compression) for sink, row in kinds().items()
    }


def test_the_sinks_with_a_schema_are_named() -> None:
    (listed,) = re.findall(r"`SINK_SCHEMA` gives records the names of ECS, OpenTelemetry or GELF, for ([^;]*);", SINKS)
    assert sinks_in(listed) == {sink for sink, row in kinds().items() if "sink_schema" in row.uses}
