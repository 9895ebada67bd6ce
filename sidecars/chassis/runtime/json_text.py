"""JSON out, without the cost of importing `json`: that compiles regular expressions at every start of a job.

For what a program says of itself: log lines, and small files of its own. Readers use `json`.
"""

from __future__ import annotations

_ESCAPES = {number: f"\\u{number:04x}" for number in (*range(0x20), *range(0x7F, 0xA0))}  # what a terminal obeys
_ESCAPES |= {ord('"'): '\\"', ord("\\"): "\\\\", ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}
_WORDS = {None: "null", True: "true", False: "false"}


def dumps(value: object) -> str:
    """The value on one line, as compact as it goes. What JSON has no form for is written as its `str`."""
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float) and value - value == 0:  # neither infinite nor not a number
        return float.__repr__(value)
    if isinstance(value, dict):
        members = [f"{dumps(str(name))}:{dumps(member)}" for name, member in value.items()]
        return f"{{{','.join(members)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(dumps, value))}]"
    return f'"{str(value).translate(_ESCAPES)}"'
