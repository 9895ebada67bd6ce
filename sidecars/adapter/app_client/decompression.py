"""Response bodies with a `Content-Encoding`, unpacked up to a limit. No I/O.

The adapter asks for plain bytes (`Accept-Encoding: identity`). If an app compresses anyway, the unpacked body has the
same limit as a plain one.
"""

from __future__ import annotations

import zlib

from sidecars.adapter.app_client.outcome import AppResponse
from sidecars.chassis.config.setting_types import format_size

_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": zlib.MAX_WBITS}


class BadEncoding(Exception):
    """The body cannot be unpacked, or not within the limit. The text is a phrase that follows the app's URL."""


def content_encoding(response: AppResponse) -> str:
    """Return the Content-Encoding in lower case; "" if the body is plain."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    return "" if encoding == "identity" else encoding


def decompress(response: AppResponse, max_body: int) -> bytes:
    """Return the body without its Content-Encoding, at most `max_body` bytes. Raises BadEncoding."""
    encoding = content_encoding(response)
    if not encoding:
        return response.body
    wbits = _WBITS.get(encoding)
    if wbits is None:
        raise BadEncoding("answered in a Content-Encoding that was not requested")
    unpacker = zlib.decompressobj(wbits)
    try:
        body = unpacker.decompress(response.body, max_body + 1)
    except zlib.error:
        raise BadEncoding(f"answered with the Content-Encoding {encoding}, but its body is not {encoding}") from None
    if len(body) > max_body:
        raise BadEncoding(f"answered with more than {format_size(max_body)} once unpacked")
    if not unpacker.eof or unpacker.unused_data:
        raise BadEncoding(f"answered with {encoding} that does not end where it should")
    return body
