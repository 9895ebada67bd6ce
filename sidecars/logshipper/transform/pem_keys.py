"""Private keys in PEM form whose lines are events of their own. Pure.

    -----BEGIN PRIVATE KEY-----        the pattern of `apikey` replaces it
    MIIEvQIBADANBgkqhkiG9w0BAQ…        64 characters of base64: this, too, wherever the line stands
    …tail==                            a shorter line: replaced here, if the beginning is in the same chunk
    -----END PRIVATE KEY-----

The pipeline has no state across chunks: a chunk that is repeated must give the same records. So the last line of a key
is replaced only if the key was read in one piece, as it is if the app wrote it in one piece. The full lines always are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_BEGIN, _KEY = "-----BEGIN ", "PRIVATE KEY-----"
_END = "-----END "
_BODY = re.compile(r"[A-Za-z0-9+/=]+\s*").fullmatch
_LONGEST = 200  # lines of a key; RSA with 16,384 bits has 200
_REPLACED = "[apikey]"


def redact_body(texts: Sequence[str], index: int, clean: list[str]) -> None:
    """Replace in `clean` the lines of the key that begins in the text at the index, if one begins there."""
    _, begins, rest = texts[index].rpartition(_BEGIN)
    _, named, body = rest.partition(_KEY)
    if not (begins and named) or not all(_BODY(line) for line in map(str.strip, body.split("\n")) if line):
        return
    for at in range(index + 1, min(index + 1 + _LONGEST, len(texts))):
        if _END in texts[at] or _BEGIN in texts[at]:
            return
        if _BODY(texts[at]):
            clean[at] = _REPLACED
