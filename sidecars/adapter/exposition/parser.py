"""Parse a metrics page, the entry of this package: decide its format, find its end, read its families. No I/O.

exposition = parse_page(body, "text/plain; version=0.0.4", max_series=10_000)   # or MalformedPage
exposition.select("up")                                                         # its samples
exposition.dropped                                                              # families left out, and why
"""

from __future__ import annotations

import re
from typing import Literal

from sidecars.adapter.exposition import lexer
from sidecars.adapter.exposition.cancellation import Checkpoint, never_cancelled
from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.family_parser import FamilyParser
from sidecars.adapter.exposition.page_faults import Faults, MalformedPage

_MEDIA_TYPES = {
    "text/plain": (False, ("0.0.4", "1.0.0")),
    "application/openmetrics-text": (True, ("0.0.1", "1.0.0")),
}
_PARAMETER = re.compile(r';\s*([\w!#$&^.+-]+)\s*=\s*(?:"([^"]*)"|([^\s;"]*))\s*')
_EOF = b"# EOF"

PageFormat = Literal["auto", "text", "openmetrics"]
"""The format of a page. `auto` decides by the Content-Type."""


def parse_page(
    body: bytes,
    content_type: str,
    max_series: int,
    *,
    source: PageFormat = "auto",
    whole: bool = True,
    checkpoint: Checkpoint = never_cancelled,
) -> Exposition:
    """Parse the bytes of a page. Raises MalformedPage.

    content_type  the header's value, "" if the app sends none
    max_series    a page with more samples, or more families, is refused
    whole         True if HTTP marks the end of the body (a length, or chunks)
    checkpoint    is called between the parts of the page; an exception that it raises ends the parsing
    """
    faults = Faults()
    lexer.check_utf8(body)
    openmetrics = _is_openmetrics(body, content_type, source, faults)
    if openmetrics:
        end = _find_eof(body)
    else:
        if body and not body.endswith(b"\n") and whole:
            faults.add("final_newline", body.count(b"\n") + 1, "the last line does not end with a line feed")
            body += b"\n"
        end = len(body)
    parser = FamilyParser(body, max_series, faults, checkpoint, openmetrics=openmetrics)
    parser.parse(end)
    return Exposition(body, parser, faults, openmetrics=openmetrics)


def _is_openmetrics(body: bytes, content_type: str, source: PageFormat, faults: Faults) -> bool:
    """True if the page is OpenMetrics: by the setting, else by the Content-Type, else (if it is foreign) by `# EOF`."""
    if source != "auto" or not content_type.strip():
        return source == "openmetrics"
    media_type, _, rest = content_type.partition(";")
    known = _MEDIA_TYPES.get(media_type.strip().lower())
    parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(f";{rest}")}
    if known is None or parameters.get("version", known[1][0]) not in known[1]:
        shown = lexer.excerpt(content_type.encode())
        faults.add("content_type", 0, f"the Content-Type {shown} is none of Prometheus's text formats")
    return known[0] if known else body.rstrip(b"\n").endswith(b"\n" + _EOF)


def _find_eof(body: bytes) -> int:
    """Return the offset of OpenMetrics' `# EOF`. Raises MalformedPage if it is not at the end."""
    end = len(body) - len(_EOF) - body.endswith(b"\n")
    if end < 0 or not body.startswith(_EOF, end) or (end and body[end - 1 : end] != b"\n"):
        raise MalformedPage(body.count(b"\n") + 1, "there is no # EOF at the end: the page is not whole", "cut")
    return end
