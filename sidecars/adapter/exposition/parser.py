"""Parse a metrics page: decide its format, find its end, and read it family by family. No I/O."""

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

Source = Literal["auto", "text", "openmetrics"]
"""The format of a page: `auto` goes by the Content-Type."""


def parse_page(
    body: bytes,
    content_type: str,
    max_series: int,
    *,
    source: Source = "auto",
    whole: bool = True,
    checkpoint: Checkpoint = never_cancelled,
) -> Exposition:
    """The page that these bytes are. Raises `Malformed`.

    content_type  the header's value, "" where the app has sent none
    max_series    more samples, or more families, are refused
    whole         True if HTTP says that nothing is missing at the end (a length, or chunks)
    proceed       is called now and then; what it raises ends the reading
    """
    faults = Faults()
    lexer.check_utf8(body)
    openmetrics = _is_openmetrics(body, content_type, source, faults)
    if openmetrics:
        end = _end(body)
    else:
        if body and not body.endswith(b"\n") and whole:
            faults.note("final_newline", body.count(b"\n") + 1, "the last line does not end with a line feed")
            body += b"\n"
        end = len(body)
    reader = FamilyParser(body, max_series, faults, checkpoint, openmetrics=openmetrics)
    reader.read(end)
    return Exposition(body, reader, faults, openmetrics=openmetrics)


def _is_openmetrics(body: bytes, content_type: str, source: Source, faults: Faults) -> bool:
    """Which of the two formats it is: by the setting, by the Content-Type, by its end where that is another's."""
    if source != "auto" or not content_type.strip():
        return source == "openmetrics"
    media_type, _, rest = content_type.partition(";")
    known = _MEDIA_TYPES.get(media_type.strip().lower())
    parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(f";{rest}")}
    if known is None or parameters.get("version", known[1][0]) not in known[1]:
        shown = lexer.excerpt(content_type.encode())
        faults.note("content_type", 0, f"the Content-Type {shown} is none of Prometheus's text formats")
    return known[0] if known else body.rstrip(b"\n").endswith(b"\n" + _EOF)


def _end(body: bytes) -> int:
    """Where OpenMetrics's `# EOF` begins."""
    end = len(body) - len(_EOF) - body.endswith(b"\n")
    if end < 0 or not body.startswith(_EOF, end) or (end and body[end - 1 : end] != b"\n"):
        raise MalformedPage(body.count(b"\n") + 1, "there is no # EOF at the end: the page is not whole", "cut")
    return end
