"""Text that a terminal shows and does not obey. Pure, and fast to import.

A name or a reason may come from a peer. An escape sequence in it could hide lines, rename a window or type commands; a
bidirectional override could show the text in another order.
"""

from __future__ import annotations


def printable(text: str, *, keep: str = "") -> str:
    r"""Return the text with each character that is not printable as a JSON escape, such as `\u001b`.

    In a JSON string the escape means the same character, so a whole JSON document may be given. The characters of
    `keep`, such as a line feed, are not escaped.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else _escape(one) for one in text)


def truncate(text: str, longest: int) -> str:
    """Return the text, cut to `longest` characters of which the last is `…` if it is longer."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _escape(character: str) -> str:
    number = ord(character)
    if number < 0x10000:  # noqa: PLR2004 - JSON writes the rest as a pair of surrogates
        return f"\\u{number:04x}"
    high, low = divmod(number - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
