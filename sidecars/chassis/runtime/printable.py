"""Text for terminals: nothing in it is obeyed instead of shown. Pure, and cheap to import.

A name or a reason may come from a peer. An escape sequence in it could hide lines, rename a window, or type for whoever
looks; a bidirectional override could show it in another order.
"""

from __future__ import annotations


def printable(text: str, *, keep: str = "") -> str:
    r"""The text with every character that is not printed as an escape of JSON: `\u001b`.

    In a string of JSON that means the same character, so that a whole JSON document may be given. Characters of `keep`,
    such as a line feed, stay.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else _escape(one) for one in text)


def truncate(text: str, longest: int) -> str:
    """Return the text, cut to `longest` characters of which the last is `…` if it is longer."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _escape(character: str) -> str:
    number = ord(character)
    if number < 0x10000:  # noqa: PLR2004 - the rest is a pair of surrogates, as in JSON
        return f"\\u{number:04x}"
    high, low = divmod(number - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
