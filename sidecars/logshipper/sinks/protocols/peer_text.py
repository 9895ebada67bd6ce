"""Text that a receiver wrote, made fit for a log line, `/status` and a dead letter. Pure.

A receiver may write anything: megabytes, control characters that move a terminal's cursor, bytes that are no UTF-8, and
a copy of the line that it refuses. So its text is cut, its control characters are escaped, and what it quotes is left
out: no log shows a payload.
"""

from __future__ import annotations

import re

import orjson

MAX_LENGTH = 200  # characters that are shown
_READ = 1000  # characters that are looked at
_PARSED = 16 * 1024  # bytes of an answer in JSON that are read for the sake of a message
_OPENING = re.compile(r"""(?<!\w)['"{]""")
_CLOSING = {"'": "'", '"': '"', "{": "}"}
_TITLE = re.compile(r"<title>([^<]*)</title>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_MESSAGES = ("error", "message", "reason", "detail", "title", "msg", "description", "errors", "status")
"""Members in which receivers say what is wrong; `title` and `detail` are those of RFC 9457."""


def sanitized(text: str) -> str:
    """Return the text on one line of at most `LONGEST` printable characters, without what it quotes."""
    line = _without_quotes(" ".join(text[:_READ].split()))[:MAX_LENGTH]
    return line if line.isprintable() else "".join(map(_escaped, line))[:MAX_LENGTH]


def error_message(body: bytes) -> str:
    """Return what the body of an HTTP answer says, as `shown` has it; "" where it says nothing.

    Of a JSON document that is the message among its members, of an HTML page its title, of anything else its beginning.
    """
    message = _of_json(body) if body[:1] in b"{[" else None
    if message is not None:
        return sanitized(message)
    text = body[: 4 * _READ].decode("utf-8", "replace")
    if text.lstrip()[:1] == "<":
        title = _TITLE.search(text)
        text = title[1] if title else _TAG.sub(" ", text)
    return sanitized(text)


def _without_quotes(text: str) -> str:
    """Replace everything from the first quotation mark or brace to the last of its kind: rather too much."""
    at = 0
    while found := _OPENING.search(text, at):
        begin = found.start()
        end = text.rfind(_CLOSING[found[0]])
        if end > begin:
            text, at = f"{text[:begin]}'…'{text[end + 1 :]}", begin + len("'…'")
        else:
            at = begin + 1
    return text


def _of_json(body: bytes) -> str | None:
    """None where the body is no JSON, is too large to be read, or has no message."""
    if not body or len(body) > _PARSED:
        return None
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    for _ in range(4):  # a message may stand a few levels down, as in {"error": {"reason": "…"}}
        if isinstance(found, list):
            found = found[0] if found else None
        elif isinstance(found, dict):
            found = next((found[name] for name in _MESSAGES if found.get(name)), None)
    return found if isinstance(found, str) else None


def _escaped(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]
