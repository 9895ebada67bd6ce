"""JSON out, without the import of `json`: that compiles regular expressions at every start of a job.

It is for log lines and small files of our own. Code that reads JSON uses `json`.
"""

from __future__ import annotations

_ESCAPES = {number: f"\\u{number:04x}" for number in (*range(0x20), *range(0x7F, 0xA0))}  # control characters
_ESCAPES |= {ord('"'): '\\"', ord("\\"): "\\\\", ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}
_WORDS = {None: "null", True: "true", False: "false"}
_FORMS = (type(None), int, float, dict, list, tuple)  # what is no text; a bool is an int


def dumps(value: object) -> str:
    """Return the value as compact JSON on one line. A value that JSON has no form for is written as its `str`."""
    if isinstance(value, str) or not isinstance(value, _FORMS):
        return _text(str(value))
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value) if value - value == 0 else _text(str(value))  # infinite, or NaN
    if isinstance(value, dict):
        members = [f"{_text(str(name))}:{dumps(member)}" for name, member in value.items()]
        return f"{{{','.join(members)}}}"
    return f"[{','.join(map(dumps, value))}]"


def _text(text: str) -> str:
    if text.isprintable() and '"' not in text and "\\" not in text:  # `translate` takes seven times as long
        return f'"{text}"'
    return f'"{text.translate(_ESCAPES)}"'
