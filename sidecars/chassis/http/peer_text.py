"""Makes a text of the receiver's safe for a log line, `/status` and a dead letter.

A receiver may write anything: megabytes, control characters that move a terminal's cursor, bytes that are no UTF-8, a
copy of the line that it refuses, and of the request with its secrets. So its text is cut, control characters are
escaped, and quoted text is replaced by an ellipsis: no log shows a payload. Secrets are replaced before the text is
cut, since no search finds the half of one. Parameters of a URL that are secrets by their names are replaced, however
short they are.
"""

from __future__ import annotations

import json
import re

from sidecars.chassis.runtime import logs

MAX_LENGTH = 200  # characters that are shown
_READ = 1000  # characters that are looked at
_PARSED = 16 * 1024  # bytes of a body that are searched, for a message and for our secrets
_PLACE = "text of a receiver"
_OPENING = re.compile(r"""(?<!\w)['"{]""")
_CLOSING = {"'": "'", '"': '"', "{": "}"}
_TITLE = re.compile(r"<title>([^<]*)</title>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
# A parameter of an URL that the text repeats, by a name that says it is a secret. The lengths bound the search.
_PARAMETER = re.compile(
    r"(?<=[?&;])([\w.-]{0,40}?(?:key|token|secret|passw|pwd|sig|auth|cred|code)[\w.-]{0,40}=)[^&;,\s]*", re.IGNORECASE
)
_MESSAGES = ("error", "message", "reason", "detail", "title", "msg", "description", "errors", "status")
"""Members that have a receiver's error message, the best one first; `title` and `detail` are those of RFC 9457."""


def sanitized(text: str) -> str:
    """Return the text on one line of at most `MAX_LENGTH` printable characters, without quoted text."""
    text = logs.scrubbed(text[:_PARSED], _PLACE)
    line = _PARAMETER.sub(r"\1***", _without_quotes(" ".join(text[:_READ].split())))[:MAX_LENGTH]
    return line if line.isprintable() else "".join(map(_escaped, line))[:MAX_LENGTH]


def error_message(body: bytes) -> str:
    """Return the error message in the body of an HTTP response, sanitized; "" if the body is empty.

    The message of a JSON document is one of its members, that of an HTML page is its title, and that of any other body
    is its beginning.
    """
    message = _of_json(body) if body[:1] in b"{[" else None
    if message is not None:
        return sanitized(message)
    text = logs.scrubbed(body[:_PARSED].decode("utf-8", "replace"), _PLACE)[: 4 * _READ]
    if text.lstrip()[:1] == "<":
        title = _TITLE.search(text)
        text = title[1] if title else _TAG.sub(" ", text)
    return sanitized(text)


def _without_quotes(text: str) -> str:
    """Replace everything from the first quotation mark or brace to the last of its kind: too much is safe."""
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
    """Return the message of a JSON body; None if the body is not JSON, is too large, or has no message."""
    if not body or len(body) > _PARSED:
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for _ in range(4):  # a message may stand a few levels down, as in {"error": {"reason": "…"}}
        if isinstance(found, list):
            found = found[0] if found else None
        elif isinstance(found, dict):
            found = next((found[name] for name in _MESSAGES if found.get(name)), None)
    return found if isinstance(found, str) else None


def _escaped(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]
